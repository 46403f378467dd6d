"""Who is calling: API keys and JWTs, and the principal they stand for."""
