# Fits y = a x + b to noisy points of y = 3 x + 1 by stochastic gradient descent, and prints what it came to as JSON.
# Needs `rate` and `seed`.
BEGIN {
    srand(seed)
    for (step = 1; step <= 2000; step++) {
        x = 2 * rand() - 1
        error = a * x + b - (3 * x + 1 + (rand() - 0.5) / 5)
        a -= rate * error * x
        b -= rate * error
        if (step > 1900) loss += error * error / 100
    }
    printf "{\"loss\":%.6f,\"line\":{\"slope\":%.4f,\"offset\":%.4f}}\n", loss, a, b
}
