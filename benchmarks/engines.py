"""The engines that `peers` compares: one class for each, as its users would start and use it.

Owns: how each engine opens, closes, maps, and passes a large value on; by hand-chosen chunk sizes too,
where that is what a user would do. `ENGINES` is the table of them.

May not know flowy except in flowy's own classes, nor import any library before its engine opens:
each engine has an environment with its own packages only. Its neighbours: `engine_types` has what
they share, `shapes` what they are made to do, `tasks` the bodies and graphs.
"""

from __future__ import annotations

import functools
import importlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from graphlib import TopologicalSorter
from queue import SimpleQueue
from typing import Any, ClassVar

from benchmarks import tasks
from benchmarks.engine_types import WORKERS, Engine, Function, Submitting
from benchmarks.tasks import Graph

# ---- The standard library.


class Pool(Engine):
    label = "multiprocessing.Pool.map"
    most = 5_000_000

    def open(self) -> None:
        import multiprocessing

        self.pool = multiprocessing.get_context("fork").Pool(WORKERS)

    def close(self) -> None:
        self.pool.terminate()
        self.pool.join()

    def map(self, function: Function, xs: Iterable[Any]) -> Sequence[Any]:
        return self.pool.map(function, xs)


class PoolChunked(Pool):
    label = "multiprocessing.Pool.map, chunksize by hand"

    def map(self, function: Function, xs: Iterable[Any]) -> Sequence[Any]:
        xs = list(xs)
        return self.pool.map(function, xs, chunksize=max(1, len(xs) // 100))


class Processes(Submitting):
    label = "ProcessPoolExecutor.submit"

    def open(self) -> None:
        from concurrent.futures import ProcessPoolExecutor

        self.executor: Any = ProcessPoolExecutor(WORKERS)
        self.submit = self.executor.submit

    def close(self) -> None:
        self.executor.shutdown()


class Threads(Processes):
    label = "ThreadPoolExecutor.submit"

    def open(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.executor = ThreadPoolExecutor(WORKERS)
        self.submit = self.executor.submit


class ProcessesChunked(Engine):
    label = "ProcessPoolExecutor.map, chunksize by hand"

    def open(self) -> None:
        from concurrent.futures import ProcessPoolExecutor

        self.executor = ProcessPoolExecutor(WORKERS)

    def close(self) -> None:
        self.executor.shutdown()

    def map(self, function: Function, xs: Iterable[Any]) -> Sequence[Any]:
        xs = list(xs)
        return list(self.executor.map(function, xs, chunksize=max(1, len(xs) // 32)))


class Handwritten(Processes):
    """What one writes when `submit` is too slow: graphlib, and batches of at most 500."""

    label = "graphlib loop, batches of 500"
    most = 1_000_000
    batch = 500

    def map(self, function: Function, xs: Iterable[Any]) -> Sequence[Any]:
        items = [tasks.Task(function, (x,)) for x in xs]
        return self.graph(Graph("", items, [], range(len(items))))

    def graph(self, graph: Graph) -> Sequence[Any]:
        sorter = TopologicalSorter({i: task.needs for i, task in enumerate(graph.tasks)})
        sorter.prepare()
        done: SimpleQueue[tuple[Sequence[int], Any]] = SimpleQueue()
        values: dict[int, Any] = {}
        while sorter.is_active():
            ready = sorter.get_ready()
            step = max(1, min(self.batch, -(-len(ready) // (2 * WORKERS))))
            for begin in range(0, len(ready), step):
                self.send(graph, ready[begin : begin + step], values, done)
            while True:  # all that has come, at least one
                which, future = done.get()
                values.update(zip(which, future.result(), strict=True))
                sorter.done(*which)
                if done.empty():
                    break
        return [values[i] for i in graph.wanted]

    def send(
        self, graph: Graph, which: Sequence[int], values: dict[int, Any], done: SimpleQueue[Any]
    ) -> None:
        batch = []
        for i in which:
            function, args, needs = graph.tasks[i]
            batch.append((function, [values[j] for j in needs] if needs else args))
        future = self.submit(tasks.run_batch, batch)
        future.add_done_callback(lambda future: done.put((which, future)))


# ---- Others.


class Joblib(Engine):
    label = "joblib (loky)"
    environment = package = "joblib"

    def open(self) -> None:
        self.joblib = importlib.import_module("joblib")
        self.parallel = self.joblib.Parallel(n_jobs=WORKERS)
        self.parallel.__enter__()

    def close(self) -> None:
        self.parallel.__exit__(None, None, None)

    def map(self, function: Function, xs: Iterable[Any]) -> Sequence[Any]:
        delayed = self.joblib.delayed(function)
        found: list[Any] = self.parallel(delayed(x) for x in xs)
        return found


class DaskThreads(Submitting):
    """The calls are made first; a chain, a tree are then computed as one graph."""

    label = "Dask, threads"
    environment = package = "dask"
    most = 50_000
    takes_futures = True

    def open(self) -> None:
        self.dask = importlib.import_module("dask")
        self.dask.config.set(scheduler="threads", num_workers=WORKERS)
        self.delayed = functools.cache(functools.partial(self.dask.delayed, pure=False))

    def submit(self, function: Function, *args: Any) -> Any:
        return self.delayed(function)(*args)

    def gather(self, futures: list[Any]) -> list[Any]:
        """As one list: `compute(*futures)` would merge a graph for each."""
        found: list[Any] = self.dask.delayed(list, pure=False)(futures).compute()
        return found

    def put(self, value: Any) -> Any:
        return self.dask.delayed(value)


class DaskProcesses(DaskThreads):
    label = "Dask, processes"
    most = 10_000

    def open(self) -> None:
        from concurrent.futures import ProcessPoolExecutor

        super().open()
        self.executor = ProcessPoolExecutor(WORKERS)
        self.dask.config.set(scheduler="processes", pool=self.executor)

    def close(self) -> None:
        self.executor.shutdown()


class DaskDistributed(Submitting):
    label = "Dask, distributed"
    environment = package = "dask"
    most = 5_000
    takes_futures = True

    def open(self) -> None:
        distributed = importlib.import_module("distributed")
        self.cluster = distributed.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=None
        )
        self.client = distributed.Client(self.cluster)
        self.submit = functools.partial(self.client.submit, pure=False)

    def close(self) -> None:
        self.client.close()
        self.cluster.close()

    def gather(self, futures: list[Any]) -> list[Any]:
        found: list[Any] = self.client.gather(futures)
        return found

    def map(self, function: Function, xs: Iterable[Any]) -> Sequence[Any]:
        return self.gather(self.client.map(function, list(xs), pure=False))

    def put(self, value: Any) -> Any:
        return self.client.scatter(value, broadcast=True)


class Ray(Submitting):
    label = "Ray"
    environment = package = "ray"
    most = 10_000
    takes_futures = True

    def open(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        self.ray = importlib.import_module("ray")
        self.ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
        self.remote = functools.cache(self.ray.remote)

    def close(self) -> None:
        self.ray.shutdown()

    def submit(self, function: Function, *args: Any) -> Any:
        return self.remote(function).remote(*args)

    def gather(self, futures: list[Any]) -> list[Any]:
        found: list[Any] = self.ray.get(futures)
        return found

    def put(self, value: Any) -> Any:
        return self.ray.put(value)


class ParslThreads(Submitting):
    label = "Parsl, threads"
    environment = package = "parsl"
    most = 10_000
    takes_futures = True

    def executor(self) -> Any:
        threads = importlib.import_module("parsl.executors.threads")
        return threads.ThreadPoolExecutor(max_threads=WORKERS)

    def open(self) -> None:
        self.parsl = importlib.import_module("parsl")
        self.place = tempfile.TemporaryDirectory()
        config = importlib.import_module("parsl.config").Config(
            executors=[self.executor()],
            run_dir=self.place.name,
            initialize_logging=False,
            strategy="none",
        )
        self.kernel = self.parsl.load(config)
        self.app = functools.cache(self.parsl.python_app)

    def submit(self, function: Function, *args: Any) -> Any:
        return self.app(function)(*args)

    def close(self) -> None:
        self.kernel.cleanup()
        self.parsl.clear()
        self.place.cleanup()


class ParslProcesses(ParslThreads):
    label = "Parsl, processes"

    def executor(self) -> Any:
        providers = importlib.import_module("parsl.providers")
        return importlib.import_module("parsl.executors").HighThroughputExecutor(
            address="127.0.0.1",
            max_workers_per_node=WORKERS,
            cores_per_worker=1,
            encrypted=False,
            provider=providers.LocalProvider(init_blocks=1, max_blocks=1),
        )


# ---- flowy.


class FlowyMap(Engine):
    label = "flowy.map"
    environment = package = "flowy"
    most = 5_000_000
    fan: ClassVar[str] = "Mapped"

    def open(self) -> None:
        self.workflows = importlib.import_module("benchmarks.workflows")
        self.made: dict[tuple[str, Function], Any] = {}

    def close(self) -> None:
        for engine in self.made.values():
            engine.close()

    def use(self, factory: str, **activities: Function) -> Function:
        """`run` of this workflow, whose workers live until the end."""
        key = (factory, next(iter(activities.values())))
        if key not in self.made:
            self.made[key] = self.workflows.Warm(getattr(self.workflows, factory), None, **activities)
        run: Function = self.made[key].run
        return run

    def map(self, function: Function, xs: Iterable[Any]) -> Sequence[Any]:
        found: Sequence[Any] = self.use(self.fan, task=function)(xs)
        return found


class Flowy(FlowyMap):
    """Each shape as one writes it: a workflow, which makes its calls while it is timed."""

    label = "flowy, single calls"
    fan = "Fan"

    def share(self, function: Function, value: Any, xs: Iterable[Any]) -> Sequence[Any]:
        found: Sequence[Any] = self.use("Share", item_of=function)(value, len(list(xs)))
        return found

    def prepare(self, graph: Graph) -> Callable[[], Sequence[Any]]:
        n = len(graph.levels[0])
        if graph.name == "tree":
            run = self.use("Tree", inc=tasks.inc, add=tasks.add)
            xs = [task.args[0] for task in graph.tasks[:n]]
            return lambda: [run(xs)]
        if graph.name == "chain":
            run = self.use("Chain", inc=tasks.inc)
            return lambda: [run(len(graph.tasks))]
        if graph.name == "layers":
            run = self.use("Layers", add3=tasks.add3)
            return functools.partial(run, tasks.edges(len(graph.tasks)), n)
        return functools.partial(self.use("Relay", make=tasks.make_bytes, size_of=tasks.size_of), n)

    def look(self, function: Function, n: int) -> Any:
        return self.use("Look", inc=function)(n)


ENGINES: dict[str, type[Engine]] = {
    "flowy": Flowy,
    "flowy-map": FlowyMap,
    "pool": Pool,
    "pool-chunked": PoolChunked,
    "processes": Processes,
    "processes-chunked": ProcessesChunked,
    "graphlib": Handwritten,
    "threads": Threads,
    "joblib": Joblib,
    "dask-threads": DaskThreads,
    "dask-processes": DaskProcesses,
    "dask-distributed": DaskDistributed,
    "ray": Ray,
    "parsl-threads": ParslThreads,
    "parsl-processes": ParslProcesses,
}
