"""A person's leave: durable requests, bound to what they were shown, spent once."""
