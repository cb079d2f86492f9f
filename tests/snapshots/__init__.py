"""Pictures of screens, compared whole."""
