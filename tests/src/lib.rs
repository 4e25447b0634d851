//! Black box and house rules: all that is here is tests, see the folders beside this one.
