"""The rows of channels, by iceoryx2: waiting for an event with each message, and calling receive() again."""

from __future__ import annotations

import ctypes  # its payloads are addresses
import glob
import os
import shutil
import tempfile

import iceoryx2

from channels.halves import LARGE, MIB, SENDERS, in_place, payloads, rows

SLOTS = 256
_made = 0


class Service:
    """Of one name; each process opens it for itself, and keeps what it has opened."""

    def __init__(self, size, waiting):
        global _made
        _made += 1
        self.size, self.waiting, self.name = size, waiting, f"benchmark {_made}"
        self.slots = SLOTS if size < MIB else LARGE
        self.folder = tempfile.mkdtemp()
        self.prefix = os.path.basename(self.folder) + "_"

    def opens(self):
        iceoryx2.set_log_level(iceoryx2.LogLevel.Fatal)
        config = iceoryx2.config.default()
        config.global_cfg.prefix = iceoryx2.FileName.new(self.prefix)
        config.global_cfg.root_path = iceoryx2.Path.new(self.folder)
        self.node = iceoryx2.NodeBuilder.new().config(config).create(iceoryx2.ServiceType.Ipc)
        if self.waiting:
            name = iceoryx2.ServiceName.new(self.name + " told")
            self.event = self.node.service_builder(name).event().open_or_create()
        service = self.node.service_builder(iceoryx2.ServiceName.new(self.name))
        service = service.publish_subscribe(iceoryx2.Slice[ctypes.c_uint8])
        service = service.enable_safe_overflow(False).subscriber_max_buffer_size(self.slots)
        self.service = service.max_publishers(SENDERS).max_subscribers(1).open_or_create()
        return self.service

    def sends(self, fills_by):
        """`fills_by(sample, message)` fills a part of its memory, which is sent then."""
        wait = iceoryx2.BackpressureStrategy.RetryUntilDelivered
        builder = self.opens().publisher_builder().initial_max_slice_len(self.size)
        self.port = builder.backpressure_strategy(wait).create()
        loan, size = self.port.loan_slice_uninit, self.size

        def send(message):
            sample = loan(size)
            fills_by(sample, message)
            sample.assume_init().send()

        if not self.waiting:
            return send
        self.notifier = self.event.notifier_builder().create()
        notify = self.notifier.notify

        def send_and_tell(message):
            send(message)
            notify()

        return send_and_tell

    def receives(self):
        """A function that gives the next sample."""
        self.port = self.opens().subscriber_builder().buffer_size(self.slots).create()
        receive, wait = self.port.receive, None
        if self.waiting:
            self.listener = self.event.listener_builder().create()
            wait = self.listener.blocking_wait

        def poll():
            while (sample := receive()) is None:
                if wait:
                    wait()
            return sample

        return poll

    def close(self):
        shutil.rmtree(self.folder)
        for path in glob.glob(f"/dev/shm/{self.prefix}*"):
            os.unlink(path)


def copies(sample, message):
    ctypes.memmove(sample.payload_ptr, message, len(message))


def copies_large(sample, message):
    source = (ctypes.c_char * len(message)).from_buffer(message)
    ctypes.memmove(sample.payload_ptr, source, len(message))


def ways(waiting):
    def service(size, fills_by, receive_by):
        service = Service(size, waiting)
        yield lambda: service.sends(fills_by), lambda: receive_by(service.receives(), size)
        service.close()

    def bytes_of(receive, size):
        string_at = ctypes.string_at

        def receive_bytes():
            sample = receive()
            message = string_at(sample.payload_ptr, size)
            sample.delete()
            return message

        return receive_bytes

    def view_of(sample, size):
        return memoryview((ctypes.c_ubyte * size).from_address(sample.payload_ptr)).cast("B")

    def looks(receive, size):
        def receive_and_look(look):
            sample = receive()
            look(view_of(sample, size))
            sample.delete()

        return receive_and_look

    def one(size, senders):
        return service(size, copies, bytes_of)

    def copied(size, senders):
        return service(size, copies_large, looks)

    def lent(size, senders):
        return service(size, lambda sample, fill: fill(view_of(sample, size)), looks)

    return {**rows(one), **payloads(copied), **in_place(lent)}


globals().update(ways(waiting=True))
