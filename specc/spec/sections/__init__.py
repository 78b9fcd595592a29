"""The sections of a spec as validated models, neighbours in one file; what needs several of them is the SpecModel's."""
