"""The page of a report: facts about runs as plain values, and the folder that shows them in a browser."""
