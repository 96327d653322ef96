-- Nothing to do: PostgreSQL only. The names are the same on both databases.
SELECT 1;
