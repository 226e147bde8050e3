"""Forms in which a trained network leaves lenette."""
