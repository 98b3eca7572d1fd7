"""A trained student elsewhere: loaded without data, exported, asked for predictions."""
