# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""Histories of Amazon SWF, followed: what happens at every event of a long one.

Owns: the common way of a task through a history: asked for by the run, waiting for room, in flight with
a response, open, over. `Desk` has what waits, `Books` compares what was asked for with what the history
has, and `Course` takes a run through its events. A history of 25,000 events is replayed in a third of
the time that the same takes in Python, which is why these are here.

May not know: what SWF sends beside the common events, how decisions are written, the words of errors,
retries, payload stores, configuration. `swf.ledger` finishes `Books`, `swf.asking` and `swf.execution`
finish `Course`, and `swf.meanings` has the events that are not common. No I/O, no clock.

The laws of this file:
* Nothing in an event is taken for granted but its type and number, which `first_odd` has seen.
* The events that have a meaning here have it nowhere else.
* The words of what is not as it should be are made by a method of the Python class above.
"""

cimport cython
from libc.stdint cimport int32_t

from json.encoder import encode_basestring_ascii

KINDS = ("activity", "child", "lambda", "timer", "marker", "signal", "cancel", "own", "close")
STATES = ("waiting", "in flight", "open", "over", "refused", "withdrawn")
COMMON = {
    "ActivityTaskScheduled": 1,
    "ActivityTaskCompleted": 2,
    "LambdaFunctionCompleted": 2,
    "ChildWorkflowExecutionCompleted": 2,
    "DecisionTaskStarted": 3,
    "DecisionTaskCompleted": 4,
}

cdef enum:
    ACTIVITY, CHILD, LAMBDA, TIMER, MARKER, SIGNAL, CANCEL, OWN, CLOSE, N_KINDS
cdef enum:
    SCHEDULED = 1, COMPLETED, STARTED, ANSWERED

cdef str WAITING, FLYING, OPEN, OVER, REFUSED, WITHDRAWN
WAITING, FLYING, OPEN, OVER, REFUSED, WITHDRAWN = STATES
cdef dict NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
cdef tuple DECISIONS = ("ScheduleActivityTask", "StartChildWorkflowExecution", "ScheduleLambdaFunction")
cdef dict NOTHING = {}
cdef Py_ssize_t UNLIMITED = 1 << 30
cdef object write_string = encode_basestring_ascii


# ------------------------------------------------------------ what is asked for

@cython.final
@cython.freelist(128)
cdef class Command:
    """One thing that is to be decided."""
    cdef readonly str kind
    cdef readonly str type           # of the decision
    cdef readonly str id             # by which it is found again: of the activity, timer, task of a child …
    cdef public object attributes    # of the decision; None: made from the task when it is sent
    cdef readonly object task        # for whom it is
    cdef public str state
    cdef public object large         # the text that is to be stored before it is sent
    cdef public Py_ssize_t asked_at  # the event that asked for it
    cdef public Py_ssize_t withdrawn_at  # the event at which the run did not want it any more
    cdef readonly Py_ssize_t number  # in the order asked for
    cdef readonly Py_ssize_t place   # in the last flight
    cdef int k

    def __init__(self, kind, type, id, attributes=None, task=None):
        self.k = NUMBERS[kind]
        if self.k <= LAMBDA:
            raise TypeError(f"a command that is {kind} is made by schedule_now")
        if self.k == CANCEL and not isinstance(task, Command):
            raise TypeError(f"what is cancelled is a command, not {task!r}")
        self.kind = KINDS[self.k]
        self.type = type
        self.id = id
        self.attributes = attributes
        self.task = task
        self.state = WAITING

    def __repr__(self):
        return f"<{self.type} {self.id}, {self.state}>"


@cython.final
cdef class Way:
    """How a dependency is reached: its `Call`, as it is needed at every task."""
    cdef object call, type, dump, load
    cdef int k
    cdef str kind, decision
    cdef bint at_once                # no timer before the first attempt


@cython.final
@cython.freelist(128)
cdef class Task:
    """One call of a dependency, or a timer or message of the workflow."""
    cdef readonly str key            # of its first attempt
    cdef readonly str name
    cdef readonly int32_t node
    cdef readonly object call        # how it is reached; None for timers and messages
    cdef public Py_ssize_t attempt
    cdef public object input
    cdef public bint cancelled
    cdef public bint started         # whether the workflow that it is has started
    cdef public object workflow_id   # of that workflow, as the history has it
    cdef public list letters         # signals to it, until it has started; None: there are none
    cdef public Command command      # what stands for it now: itself, or the timer before it
    cdef Way way

    def __init__(self, key, name, node):
        self.key = key
        self.name = name
        self.node = node
        self.input = self.workflow_id = ""

    @property
    def id(self):
        """The key of its present attempt."""
        return f"{self.key.rpartition('-')[0]}-{self.attempt}" if self.attempt else self.key


# ------------------------------------------------------------ what waits

@cython.final
cdef class Desk:
    """Commands that wait for their turn, first come first served within each kind, so that no more is
    open than may be."""
    cdef Py_ssize_t open[9]
    cdef Py_ssize_t most[9]
    cdef Py_ssize_t heads[9]         # where the queues begin
    cdef list queues
    cdef Py_ssize_t rate_limit       # tasks that may be open
    cdef Py_ssize_t made

    def __cinit__(self, most, rate_limit):
        cdef int k
        for k in range(N_KINDS):
            self.most[k] = most if k <= TIMER else UNLIMITED
        self.most[TIMER] -= 2        # kept for those that only bring the next decision
        self.rate_limit = rate_limit or UNLIMITED
        self.queues = [[] for _ in range(N_KINDS)]

    cdef int add(self, Command command, Py_ssize_t event_id) except -1:
        """It waits from now on."""
        self.made += 1
        command.number = self.made
        command.asked_at = event_id
        command.state = WAITING
        (<list>self.queues[command.k]).append(command)
        return 0

    cdef Command pop(self, int k):
        cdef list queue = <list>self.queues[k]
        cdef Command command = <Command>queue[self.heads[k]]
        self.heads[k] += 1
        if self.heads[k] > 32 and 2 * self.heads[k] > len(queue) or self.heads[k] == len(queue):
            del queue[:self.heads[k]]
            self.heads[k] = 0
        return command

    cdef int put_back(self, list commands) except -1:
        """They did not go out: they wait again, before all others."""
        cdef Command command
        cdef int k
        cdef list back
        for k in range(N_KINDS):
            back = [command for command in commands if command.k == k]
            if back:
                for command in back:
                    command.state = WAITING
                back.sort(key=number_of)
                (<list>self.queues[k])[:self.heads[k]] = back
                self.heads[k] = 0
        return 0

    cdef Py_ssize_t waiting(self):
        cdef int k
        cdef Py_ssize_t n = 0
        for k in range(N_KINDS):
            n += len(<list>self.queues[k]) - self.heads[k]
        return n

    cdef list take(self, bint ended):
        """What goes out now, in the order asked for, as far as there is room; what closes comes last.

        Once the code has `ended`, only what has an effect outside of it.
        """
        cdef list taken = []
        cdef Py_ssize_t coming[9]
        cdef bint shut[9]
        cdef int k, next
        cdef Command command, first = None
        cdef Py_ssize_t tasks = self.open[ACTIVITY] + self.open[CHILD] + self.open[LAMBDA]
        for k in range(N_KINDS):
            coming[k] = 0
            shut[k] = ended and k <= TIMER
        while True:
            next = -1
            for k in range(N_KINDS):
                if not shut[k] and self.heads[k] < len(<list>self.queues[k]):
                    command = <Command>(<list>self.queues[k])[self.heads[k]]
                    if next < 0 or (k != CLOSE and command.number < first.number):
                        next, first = k, command
            if next < 0:
                return taken
            if self.open[next] + coming[next] >= self.most[next] or (
                    next <= LAMBDA and tasks >= self.rate_limit):
                shut[next] = True
                continue
            self.pop(next)
            if first.state is WAITING:
                coming[next] += 1
                tasks += next <= LAMBDA
                first.state = FLYING
                first.place = len(taken)
                taken.append(first)

    cdef int remove(self, Command command) except -1:
        """The history has it, though it was not sent from here."""
        cdef list queue = <list>self.queues[command.k]
        cdef Py_ssize_t i
        for i in range(self.heads[command.k], len(queue)):
            if queue[i] is command:
                del queue[i]
                break
        return 0


def number_of(Command command not None):
    """In which order a command was asked for."""
    return command.number


# ------------------------------------------------------------ what the history has of it

cdef class Books:
    """What a run asked for, and what the history has of it. `swf.ledger.Ledger` finishes it."""
    cdef readonly bint strict
    cdef public bint deferred        # the response whose decisions come now had no room for all
    cdef readonly dict open          # what the history has, by the event that opened it
    cdef readonly list flight        # what the last response has, or had no room for
    cdef readonly Py_ssize_t started_event   # the last DecisionTaskStarted
    cdef readonly Py_ssize_t previous_event  # the one before
    cdef public list turned_away     # what SWF refused for want of room
    cdef public bint was_refused     # something in this response
    cdef readonly Py_ssize_t streak  # responses in a row of which something was refused and nothing opened
    cdef Desk desk
    cdef list asked                  # by kind: what the history does not have yet, by id
    cdef bint flying, was_opened
    cdef Py_ssize_t group            # the DecisionTaskCompleted whose decisions come now
    cdef Py_ssize_t place            # of the last of them in the flight,
    cdef Py_ssize_t places[9]        # and by kind

    def __cinit__(self, most, rate_limit, *args, strict=False):
        self.strict = strict
        self.desk = Desk(most, rate_limit)
        self.open = {}
        self.flight = []
        self.turned_away = []
        self.asked = [{} for _ in range(N_KINDS)]
        self.place = -1

    @property
    def waiting(self):
        """How many commands wait, for room or for the next response."""
        return self.desk.waiting()

    @property
    def expected(self):
        """How many commands the history does not have yet."""
        return sum(map(len, self.asked))

    def expects(self, kind, id):
        """Whether something was asked for, and the history does not have it yet."""
        return id in self.asked[NUMBERS[kind]]

    def is_open(self, kind):
        """How many of a kind are open."""
        return self.desk.open[<int>NUMBERS[kind]]

    def add(self, Command command not None, Py_ssize_t event_id):
        """The run asks for it, at this event."""
        self.enter(command, event_id)

    cdef int enter(self, Command command, Py_ssize_t event_id) except -1:
        (<dict>self.asked[command.k])[command.id] = command
        self.desk.add(command, event_id)
        return 0

    def add_again(self, commands):
        """They wait again, before all others."""
        self.desk.put_back(list(commands))

    def keep(self, Command command not None):
        """It is asked for, and does not wait."""
        (<dict>self.asked[command.k])[command.id] = command

    def drop(self, kind, id):
        """It is asked for no more: what it was, if it was."""
        cdef Command command = (<dict>self.asked[NUMBERS[kind]]).pop(id, None)
        if command is not None and command.state is WAITING:
            self.desk.remove(command)
        return command

    def withdraw(self, Command command not None):
        """The run does not want it any more. If it was in flight, it may yet turn out to be open."""
        if command.state is WAITING:
            self.desk.remove(command)
        command.state = WITHDRAWN

    # responses

    def depart(self, Py_ssize_t event_id, bint ended=False):
        """A decision task has started: what waits and has room is in flight from now on."""
        cdef list taken
        cdef Command command
        self.end_group()
        self.lose_flight()
        if self.turned_away:
            self.before_departure(event_id, ended)
        self.previous_event, self.started_event = self.started_event, event_id
        self.flying = True
        taken = self.desk.take(ended)
        for command in taken:
            if command.k == CANCEL:
                taken = [command for command in taken if self.is_still_wanted(command)]
                break
        self.flight = taken

    cdef bint is_still_wanted(self, Command command) except *:
        """Whether what is to be cancelled is still there."""
        if command.k != CANCEL or (<Command?>command.task).state is OPEN:
            return True
        command.state = OVER
        (<dict>self.asked[CANCEL]).pop(command.id, None)
        return False

    def lose(self):
        """The response did not arrive: all of it waits again."""
        self.lose_flight()

    cdef int lose_flight(self) except -1:
        cdef Command command
        if self.flying:
            self.desk.put_back([command for command in self.flight if command.state is FLYING])
            self.flight = []
            self.flying = False
        return 0

    def arrive(self, Py_ssize_t event_id, Py_ssize_t started, bint deferred):
        """The response arrived: the events of its decisions come next."""
        cdef int k
        self.end_group()
        if started and started != self.started_event:
            self.lose_flight()
        self.flying = False
        self.group = event_id
        self.place = -1
        for k in range(N_KINDS):
            self.places[k] = -1
        self.was_refused = self.was_opened = False
        self.deferred = deferred

    def close_group(self):
        """All events of the response were seen: was everything there?

        Raises:
            NondeterminismError: something was not, and there was room for it.
        """
        self.end_group()

    cdef int end_group(self) except -1:
        cdef Command command
        cdef list missing = None
        if not self.group:
            return 0
        for command in self.flight:
            if command.state is FLYING:
                if not self.deferred or command.place < self.places[command.k]:
                    raise self.missing(command, self.group)
                if missing is None:
                    missing = []
                missing.append(command)
        if missing is not None:
            self.desk.put_back(missing)
        self.flight = []
        self.group = 0
        if self.was_refused:
            self.streak += 1
        elif self.was_opened:
            self.streak = 0
        return 0

    # what the history has

    def recorded(self, kind, id, Py_ssize_t event_id, says_type=None, says_input=None):
        """The history has this decision: the command that it is.

        Raises:
            NondeterminismError: it was not asked for by then, or as something else.
        """
        return self.record(NUMBERS[kind], id, event_id, says_type, says_input)

    cdef Command record(self, int k, id, Py_ssize_t event_id, says_type, says_input):
        cdef Command command = (<dict>self.asked[k]).pop(id, None)
        cdef Task task
        if command is None or command.asked_at > self.started_event:
            raise self.unasked(KINDS[k], id, command, event_id)
        if command.state is FLYING:
            if self.strict and command.place < self.place:
                raise self.misplaced(command, event_id)
            self.place = self.places[k] = command.place
        elif command.state is WAITING:
            self.desk.remove(command)
        elif command.state is WITHDRAWN and command.withdrawn_at <= self.started_event:
            raise self.unwanted(command, event_id)
        if k <= LAMBDA:
            task = <Task?>command.task
            if says_type is not None and task.way.type is not None and says_type != task.way.type:
                raise self.mistyped(command, says_type, event_id)
            if says_input is not None and says_input != task.input:
                self.check_input(command, says_input, event_id)
        return command

    def opened(self, Command command not None, Py_ssize_t event_id):
        """It is open at SWF from now on; whether it still should be."""
        return self.note_open(command, event_id)

    cdef bint note_open(self, Command command, Py_ssize_t event_id) except *:
        cdef bint wanted = command.state is not WITHDRAWN
        command.state = OPEN
        self.open[event_id] = command
        self.desk.open[command.k] += 1
        if command.k != OWN:
            self.was_opened = True
        return wanted

    def over(self, event_id):
        """What an event closed that `event_id` opened; None for what is not known."""
        return self.note_over(event_id)

    cdef Command note_over(self, event_id):
        cdef Command command = self.open.pop(event_id, None)
        if command is not None:
            command.state = OVER
            self.desk.open[command.k] -= 1
        return command


# ------------------------------------------------------------ a run and its history

cdef class Course:
    """A run on its way through its history. `swf.asking.Asking` and `swf.execution.Execution` finish it."""
    cdef public Py_ssize_t last_event
    cdef public Py_ssize_t decided   # the last DecisionTaskStarted that was answered when the run was built
    cdef public object run           # of the core, once started
    cdef readonly object outbox
    cdef readonly Books ledger
    cdef public Command closing      # how the run has ended, once it has
    cdef public Py_ssize_t notes_seen    # side effects asked for at the last DecisionTaskStarted
    cdef readonly dict children      # tasks that are workflows, by key, until they are over
    cdef readonly dict tasks         # by node, until they are over
    cdef public Py_ssize_t texts     # characters that were read
    cdef readonly Py_ssize_t longest # characters of an input
    cdef readonly str mark           # how a text begins that is kept elsewhere,
    cdef readonly str context        # and an execution context, where a response left some for later
    cdef dict calls, ways
    cdef int replaying               # as the core was told, -1 at first

    def __init__(self, Books ledger not None, outbox, dict calls not None, longest, mark, context):
        self.ledger = ledger
        self.outbox = outbox
        self.calls = calls
        self.longest = longest
        self.mark = mark
        self.context = context
        self.children = {}
        self.tasks = {}
        self.ways = {}
        self.replaying = -1

    def follow(self, list events not None, dict meanings not None, know_marker):
        """Take the run through the next events.

        Args:
            meanings: by type, (name of the attributes, what it means or its number in `COMMON`).
            know_marker: told of each marker before all else: the code asks for what it keeps earlier.
        """
        cdef dict event, says
        cdef tuple meaning
        cdef int common
        self.look_ahead(events, know_marker)
        for event in events:
            kind = event["eventType"]
            self.last_event = event["eventId"]
            meaning = meanings.get(kind)
            if meaning is None:
                continue
            says = attributes(event, meaning[0])
            common = <int>meaning[1] if type(meaning[1]) is int else 0
            if common == SCHEDULED:
                self.activity_scheduled(says)
            elif common == COMPLETED:
                self.completed(says, event)
            elif common == STARTED:
                run = self.run
                if run is not None:
                    self.notes_seen = run.notes_asked
                self.ledger.depart(self.last_event, self.closing is not None)
            elif common == ANSWERED:
                context = says.get("executionContext")
                self.ledger.arrive(
                    self.last_event,
                    says.get("startedEventId") or 0,
                    context is not None and str(context).startswith(self.context))
            else:
                meaning[1](self, self.last_event, says, event)

    cdef int look_ahead(self, list events, know_marker) except -1:
        """What the code must be told as it asks, wherever the history has it."""
        cdef dict event, says
        cdef bint first = self.last_event == 0
        cdef Py_ssize_t started, length
        for event in events:
            kind = event["eventType"]
            length = len(kind)
            if length == 14 and kind == "MarkerRecorded":
                know_marker(self, attributes(event, "markerRecordedEventAttributes"))
            elif first and length == 21 and kind == "DecisionTaskCompleted":
                says = attributes(event, "decisionTaskCompletedEventAttributes")
                started = says.get("startedEventId") or 0
                if started > self.decided:
                    self.decided = started
        return 0

    cdef int activity_scheduled(self, dict says) except -1:
        cdef Py_ssize_t id = self.last_event
        cdef Command command = self.ledger.record(
            ACTIVITY, as_text(says.get("activityId")), id, says.get("activityType"), says.get("input"))
        if not self.ledger.note_open(command, id):
            self.cancel_open(command)
        return 0

    cdef int completed(self, dict says, dict event) except -1:
        """A task is done."""
        cdef Task task = self.end_task(says, event)
        if task is None or task.way is None:
            return 0
        text = says.get("result")
        value = None
        if text is not None:
            try:
                if type(text) is str and not (<str>text).startswith(self.mark):
                    self.texts += len(<str>text)
                else:
                    text = self.open_text(text)
                value = task.way.load(text)
            except OSError:
                raise
            except Exception as error:
                self.cant_read(task, error, event)
                return 0
        return self.finish_task(task, value, event)

    def ended(self, dict says not None, dict event not None):
        """The task that an event ends; None if the run does not wait for it any more."""
        return self.end_task(says, event)

    cdef Task end_task(self, dict says, dict event):
        cdef Command command
        cdef Task task
        opened_by = says.get("scheduledEventId") or says.get("initiatedEventId")
        command = self.ledger.note_over(opened_by)
        if command is None:
            raise self.unknown(opened_by, event)
        if type(command.task) is Task:
            task = <Task>command.task
            if task.command is command:
                return task
        return None

    def finish(self, Task task not None, value, dict event not None):
        """A task is done, or a timer is due."""
        self.finish_task(task, value, event)

    cdef int finish_task(self, Task task, value, dict event) except -1:
        run = self.run
        if run is None or self.tasks.pop(task.node, None) is not task:
            return 0
        if self.children:
            self.leave_child(task)
        self.place_core(run)
        run.finish_node(task.node, value, self.time_of(event))
        task.command = None              # so that both go at once, and the collector has nothing to find
        return self.collect_all(run)

    cdef double time_of(self, dict event) except *:
        stamp = event.get("eventTimestamp")
        return <double>stamp if type(stamp) is float else self.read_time(event)

    def stand(self, run):
        """Tell the core where in the history it is."""
        self.place_core(run)

    cdef int place_core(self, run) except -1:
        cdef bint replaying = self.last_event <= self.decided
        run.length = self.last_event
        if replaying != self.replaying:
            self.replaying = replaying
            run.replaying = replaying
        return 0

    # what the run asks for

    def collect(self, run):
        """What came out of an event: tasks in the order asked for, then all else."""
        self.collect_all(run)

    cdef int collect_all(self, run) except -1:
        outbox = self.outbox
        while True:
            if outbox.waiting:
                batch = outbox.take(UNLIMITED)
                if batch is not None:
                    self.ask_all(run, batch)
            elif outbox.broken:
                self.tell_broken(run)
            elif outbox.restless:
                outbox.take_restless()
                for order, target in run.take_orders():
                    self.order(run, order, target)
            else:
                break
        if outbox.ended:
            outbox.take_ended()
            self.end(run)
        return 0

    cdef int ask_all(self, run, batch) except -1:
        cdef Py_ssize_t i
        cdef bint flat = batch.flat
        cdef list calls = batch.calls
        cdef dict keywords = batch.keywords
        cdef tuple args
        for i in range(len(batch)):
            args = (calls[i],) if flat else <tuple?>calls[i]
            kwargs = keywords.get(i, NOTHING) if keywords else NOTHING
            self.ask(run, batch.key(i), batch.name(i), batch.node(i), args, kwargs)
        return 0

    cdef int ask(self, run, str key, str name, node, tuple args, kwargs) except -1:
        cdef Way way = self.ways.get(name)
        cdef Task task = Task.__new__(Task)
        large = None
        if way is None:
            way = self.ways[name] = make_way(self.calls[name])
        task.key = key
        task.name = name
        task.node = node
        task.call = way.call
        task.way = way
        task.workflow_id = ""
        try:
            text = way.dump(args, kwargs)
            if type(text) is not str or len(<str>text) > self.longest:
                text, large = self.fit(text, f"the input of {key}")
        except Exception as error:
            self.cant_ask(task, error)
            return 0
        task.input = text
        self.tasks[node] = task
        if way.k == CHILD:
            self.children[key] = task
        if way.at_once:
            return self.send(task, large)
        self.schedule(task, large)
        return 0

    def schedule_now(self, Task task not None, large):
        """The present attempt of a task."""
        if task.way is None:
            raise TypeError(f"{task.key} is no call of a dependency")
        self.send(task, large)

    cdef int send(self, Task task, large) except -1:
        cdef Command command = Command.__new__(Command)
        cdef Way way = task.way
        command.kind = way.kind
        command.k = way.k
        command.type = way.decision
        command.id = task.key if task.attempt == 0 else task.id
        command.task = task
        command.large = large
        task.command = command
        return self.ledger.enter(command, self.last_event)


cdef Way make_way(call):
    cdef Way way = Way.__new__(Way)
    way.call = call
    way.k = NUMBERS[call.kind]
    way.kind = KINDS[way.k]
    way.decision = DECISIONS[way.k]
    way.type = call.type
    way.dump = call.dump
    way.load = call.load
    way.at_once = not call.retry.delay_before(0)
    return way


cdef inline str as_text(x):
    return <str>x if type(x) is str else str(x or "")


cdef inline dict attributes(dict event, name):
    """What an event says beside its type, number and time."""
    says = event.get(name)
    if type(says) is dict:
        return <dict>says
    return dict(says) if says else NOTHING


# ------------------------------------------------------------ what needs no run

def first_odd(list events not None):
    """The place of the first of these that is no plain dict with a type and a number; -1: there is none."""
    cdef Py_ssize_t i = 0
    for event in events:
        if (type(event) is not dict or type((<dict>event).get("eventType")) is not str
                or type((<dict>event).get("eventId")) is not int):
            return i
        i += 1
    return -1


def first_gap(list events not None, Py_ssize_t number):
    """The place of the first event that is not numbered in turn, from `number` on; -1: there is none."""
    cdef Py_ssize_t i
    cdef dict event
    for i in range(len(events)):
        event = events[i]
        if event["eventId"] != number + i:
            return i
    return -1


def write_atoms(tuple args not None):
    """The text of a call with such arguments, as JSON; None: something among them needs a walk."""
    cdef list made = []
    for x in args:
        if type(x) is int:
            made.append(str(x))
        elif type(x) is str:
            made.append(write_string(x))
        elif x is None:
            made.append("null")
        elif x is True:
            made.append("true")
        elif x is False:
            made.append("false")
        else:
            return None
    return f"[[{', '.join(made)}], {{}}]"
