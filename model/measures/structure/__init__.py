"""Heads against what is known of an input: links of a program, tracks of a clip, contacts of a protein."""
