-- From release 3.0 on a name belongs to one player of the shard.
CREATE UNIQUE INDEX player_name ON player (name);
