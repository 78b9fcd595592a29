"""docs/results.md: what was trained for it, how, and how the page is made of the summary files of those runs.

    python -m benchmarks.results subset FROM TO    every third training image of Fashion-MNIST, every second test image
    python -m benchmarks.results run RUNS          train what is not trained yet; SPECC_DATA says where TO is
    python -m benchmarks.results steps             time a step of every setting, in turn; write docs/results/steps.json
    python -m benchmarks.results gather RUNS       write docs/results/fashion_mnist.json
    python -m benchmarks.results page              write docs/results.md and its picture

A test holds the page to the files.
"""
