"""The ROS 2 side of infrared–visible fusion: a lifecycle node, replay and benchmark. Imports no torch."""
