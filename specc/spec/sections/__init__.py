"""The sections of a spec, one a file, as validated models; what needs several of them is the SpecModel's."""
