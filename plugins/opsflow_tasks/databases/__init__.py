"""What `backup_db` and `migrate_db` share: how databases are reached, and what is said to them."""
