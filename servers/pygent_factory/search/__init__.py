"""Search over thoughts: which to think further, and which to let go.

The engine knows no model. A method (`beam`, `depth_first`, `best_first`, `tree_search`) is a generator that
asks two questions, `Expand` and `Judge`, and grows a `Tree` by the answers; `explore` has them answered by a
`Proposer` and an `Evaluator`. What a method does next depends on the answers alone: the same answers, from a
model or from the record of an earlier run, make the same tree.
"""
