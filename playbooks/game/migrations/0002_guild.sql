CREATE TABLE guild (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
INSERT INTO guild (id, name) VALUES (1, 'Newcomers');
ALTER TABLE player ADD COLUMN guild INTEGER REFERENCES guild (id);
UPDATE player SET guild = 1;
