"""The only room with torch: carries out jobs, each in a process of its own."""
