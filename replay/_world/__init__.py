"""The state of everything at any turn, from the nearest keyframe."""
