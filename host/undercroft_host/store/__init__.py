"""The database: its tables, its transactions, its migrations, the audit log and the intents."""
