"""Between API Gateway's events and the rooms: requests, answers, error shapes, the order of questions."""
