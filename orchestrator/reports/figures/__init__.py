"""Figures: views say what is shown, then matplotlib draws a picture and plotly a page of it. Nothing is
computed while drawing."""
