DROP INDEX player_name;
