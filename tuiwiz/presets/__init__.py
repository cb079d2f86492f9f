"""Presets: values that carry their evidence. Found, read, chosen, resolved, explained. Data lies in the gallery."""
