"""How the infrared image comes onto the visible grid."""
