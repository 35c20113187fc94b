"""A worker in Python: `factors(n)` for every request. Put another function in its place."""
import json, sys, traceback


def factors(n, smallest=2):
    divisor = next((d for d in range(smallest, int(n**0.5) + 1) if n % d == 0), n)
    return [divisor] if divisor == n else [divisor, *factors(n // divisor, divisor)]


sys.stdin.readline()  # the hello
print(json.dumps({"ready": 1}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"ok": {"result": factors(*request["args"], **request["kwargs"])}}
    except Exception as error:
        answer = {"error": {"type": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}}
    print(json.dumps({"id": request["id"], **answer}), flush=True)
