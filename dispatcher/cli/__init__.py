"""Implements scripts/topology, the operators' command line: it asks all replicas, and shows where they disagree."""
