"""The project's tools: run the system, test it, replay a chat log, watch a video, start Cassandra, measure."""
