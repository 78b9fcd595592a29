"""Networks: ops, the graphs they form and the ways to describe one; not how a network is cut, trained or executed."""
