"""A guarded round of learning from a project's corrections."""
