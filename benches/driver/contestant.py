"""A process that measures when told to, so that contestants take turns: `runner` and `longshore-peers` speak this."""
import json
import statistics
import subprocess


class Failed(Exception):
    """A measurement that cannot be made or whose answer is wrong."""


class Contestant:
    """One process; `about` is what it said when it was ready."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.about = self._answer()

    def run(self, seconds):
        """Measures passes for at least so long."""
        self.process.stdin.write(f"run {seconds}\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.name} ended with {self.process.wait()} instead of an answer")
        return json.loads(line)

    def close(self):
        """Ends the process: its input ends."""
        self.process.stdin.close()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def pass_rate(answer):
    """MB (10^6 bytes) a CPU second of the median pass."""
    return answer["bytes"] / 1e6 / statistics.median(answer["passes_cpu_seconds"])


def take_turns(contestants, rounds, seconds, rate=pass_rate):
    """Rates of each contestant by round. Who goes first changes, so that nobody always runs on a warm cache."""
    rates = [[] for _ in contestants]
    for contestant in contestants:
        # The first passes fault in the buffers.
        contestant.run(0)
    for turn in range(rounds):
        order = range(len(contestants)) if turn % 2 == 0 else reversed(range(len(contestants)))
        for index in order:
            rates[index].append(rate(contestants[index].run(seconds)))
    return rates


def median_ratio(ours, theirs):
    """Median of the rounds' ratios: what disturbs a round disturbs both."""
    return statistics.median(a / b for a, b in zip(ours, theirs))
