"""The nouns and rules of Metrist: pure, no network, no clock, no store."""
