"""The local engine: workflows on the worker processes, threads or executors of one machine.

Owns nothing itself. `engine` is its face, `driver` applies events to runs, `executors` and `pool` run
the activities, `worker` is the other end of the pipe.
"""
