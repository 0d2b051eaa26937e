-- Where each player stands, replayed from the season's games: this takes some seconds.
CREATE TABLE standing (
    player INTEGER PRIMARY KEY REFERENCES player (id),
    points INTEGER NOT NULL
);
WITH RECURSIVE season (game, points) AS (
    SELECT 1, 0
    UNION ALL
    SELECT game + 1, (points * 31 + game) % 1000003 FROM season WHERE game < 20000000
)
INSERT INTO standing (player, points)
SELECT player.id, season.points + player.gold FROM season, player WHERE season.game = 20000000;
