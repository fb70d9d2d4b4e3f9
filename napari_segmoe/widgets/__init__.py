"""Qt views of a session, and the thread its jobs run on."""
