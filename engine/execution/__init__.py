"""The order executor: the only road to the broker's order endpoints.

Invariants: an order is journalled before its first byte leaves; an order whose outcome is not known is looked up and
never sent again; a transition that the state table does not list is recorded and changes nothing.
"""
