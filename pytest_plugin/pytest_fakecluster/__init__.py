"""The pytest plugin of fakecluster: fixtures, marker, failure reports."""
