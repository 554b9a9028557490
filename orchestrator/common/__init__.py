"""The ground floor: how figures are worded and drawn, which command to type, what is said of an error. It
imports no other room, and knows neither a spec nor a sweep."""
