"""What is kept: the private PostgreSQL server, the pool, one repository per aggregate, their twin in memory."""
