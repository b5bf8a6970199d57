# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A component of the cluster on one host: its files, its binaries and the process that runs from them.

The promise: after :func:`reconcile` the running process was started from exactly the inputs that are on the host.
The proof is in the process itself. A digest of all inputs is given to it as the environment variable
``HARDWAY_INPUTS`` through a drop-in of its unit, written after every other file. A run that dies between a change and
its restart leaves a process with the old digest, so the next run sees that the restart is still owed.
"""

from __future__ import annotations

import base64
import dataclasses
import errno
import grp
import hashlib
import http.client
import json
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import typing as t
import urllib.parse

from ansible_collections.hardway.kubernetes.plugins.module_utils import artifacts

STATE_DIR = '/var/lib/hardway'
UNIT_DIR = '/etc/systemd/system'
INPUTS_VARIABLE = 'HARDWAY_INPUTS'
#: What kubelet's certificate manager and our own writes need to see a whole file or none.
TEMPORARY_SUFFIX = '.hardway-new'
SECRET_TEXT = '(secret, not shown)\n'
HEALTH_INTERVAL = 0.25
JOURNAL_LINES = 25


class ComponentError(Exception):
    """What is wrong, where, and what to do; the text is shown to the operator as it is."""


@dataclasses.dataclass(frozen=True)
class File:
    """A file that the component owns on the host."""

    path: str
    content: bytes | None = None
    mode: int = 0o644
    owner: str = 'root'
    group: str = 'root'
    #: restart, reload or none: what the running process needs when the content changes
    on_change: str = 'restart'
    #: a text that stands for a content which is not known yet (check mode, before the controller has made it)
    pending: str | None = None
    absent: bool = False

    @property
    def secret(self):
        return not self.mode & 0o044

    @property
    def digest(self):
        return hashlib.sha256(self.content or b'').hexdigest()


@dataclasses.dataclass(frozen=True)
class Directory:
    """A directory that must exist before the component starts."""

    path: str
    mode: int = 0o755
    owner: str = 'root'
    group: str = 'root'


@dataclasses.dataclass(frozen=True)
class Health:
    """How to see that the process serves: any of an HTTP request, a TCP connection and a command.

    Times are in seconds. ``skip`` is for what cannot be healthy yet when it starts
    (an etcd member before its quorum, a kubelet before its certificate is approved).
    """

    url: str | None = None
    ca: str | None = None
    #: false for a server on the loopback address with a certificate that it made itself
    verify: bool = True
    certificate: str | None = None
    key: str | None = None
    tcp: str | None = None
    command: list[str] | None = None
    timeout: float = 120
    hold: float = 0
    skip: bool = False


@dataclasses.dataclass(frozen=True)
class Images:
    """Image archives to load into the runtime once it runs."""

    wanted: list[dict]
    list_command: list[str]
    load_command: list[str]


@dataclasses.dataclass(frozen=True)
class Component:
    """The whole description of one component on one host, as the controller sends it."""

    name: str
    service: str | None = None
    unit: str | None = None
    user: str | None = None
    directories: list[Directory] = dataclasses.field(default_factory=list)
    files: list[File] = dataclasses.field(default_factory=list)
    artifacts: list[dict] = dataclasses.field(default_factory=list)
    apply: list[str] | None = None
    validate: list[str] | None = None
    images: Images | None = None
    health: Health = Health()
    install_dir: str = '/opt/hardway'
    bin_dir: str = '/usr/local/bin'
    download_timeout: float = 60

    @property
    def drop_in(self):
        return f'{UNIT_DIR}/{self.service}.d/50-hardway-inputs.conf'


@dataclasses.dataclass
class Change:
    """One difference between what was asked for and what is on the host."""

    what: str
    action: str
    before: str = ''
    after: str = ''

    def __str__(self):
        return f'{self.what}: {self.action}'


def from_payload(payload):
    """The component that an encoded payload of the action plugin describes."""
    raw = json.loads(payload)
    raw['files'] = [_file(item) for item in raw.get('files') or []]
    raw['directories'] = [Directory(**{**item, 'mode': int(item.get('mode', '0755'), 8)}) for item in raw.get('directories') or []]
    raw['health'] = Health(**(raw.get('health') or {}))
    raw['images'] = Images(**raw['images']) if raw.get('images') else None
    return Component(**{key: value for key, value in raw.items() if value is not None})


def _file(item):
    content = item.pop('content', None)
    return File(**{**item, 'mode': int(item.get('mode', '0644'), 8), 'content': None if content is None else base64.b64decode(content)})


class Host:
    """The few things that a component does to a host; in check mode none of them changes anything."""

    def __init__(self, check_mode):
        self.check_mode = check_mode

    def run(self, argv, timeout=120):
        """Run a command that only reads; the finished process with its output as text."""
        try:
            return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
        except FileNotFoundError as error:
            raise ComponentError(f'{argv[0]}: no such command on this host: install the package that has it') from error
        except subprocess.TimeoutExpired as error:
            raise ComponentError(f'{" ".join(argv)}: no end after {timeout} s') from error

    def change(self, argv, timeout=300):
        """Run a command that changes the host, unless in check mode."""
        if self.check_mode:
            return
        done = self.run(argv, timeout)
        if done.returncode:
            raise ComponentError(f'{" ".join(argv)}: failed with {done.returncode}: {(done.stderr or done.stdout).strip()}')

    def write(self, path, content, mode, owner='root', group='root'):
        """Put a file in place whole: readers see the old or the new content, at its mode from the first byte."""
        if self.check_mode:
            return
        parent = os.path.dirname(path)
        os.makedirs(parent, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f'.{os.path.basename(path)}.', suffix=TEMPORARY_SUFFIX, dir=parent)
        try:
            with os.fdopen(descriptor, 'wb') as stream:
                stream.write(content)
                os.fchmod(stream.fileno(), mode)
                os.fchown(stream.fileno(), *ids(owner, group))
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(temporary, path)
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise


def ids(owner, group):
    """The numbers of a user and a group by name; an error names who is missing."""
    try:
        return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ComponentError(f'no user or group {error.args[0]} on this host: the component has to name it as its user') from error


class Unit:
    """A systemd service as it is now."""

    PROPERTIES = ('ActiveState', 'SubState', 'MainPID', 'UnitFileState', 'NeedDaemonReload', 'InvocationID', 'NRestarts', 'LoadState', 'Result')

    def __init__(self, host, name):
        self.host = host
        self.name = name
        self.properties: dict[str, str] = {}
        self.refresh()

    def refresh(self):
        shown = self.host.run(['systemctl', 'show', self.name, '--property', ','.join(self.PROPERTIES)])
        if shown.returncode:
            raise ComponentError(f'systemctl show {self.name}: {shown.stderr.strip()}')
        self.properties = dict(line.split('=', 1) for line in shown.stdout.splitlines() if '=' in line)
        return self

    @property
    def active(self):
        return self.properties.get('ActiveState') in ('active', 'activating', 'reloading')

    @property
    def failed(self):
        return self.properties.get('ActiveState') == 'failed'

    @property
    def enabled(self):
        return self.properties.get('UnitFileState') in ('enabled', 'static', 'alias', 'indirect', 'generated')

    @property
    def needs_daemon_reload(self):
        return self.properties.get('NeedDaemonReload') == 'yes'

    @property
    def running_inputs(self):
        """The digest that the main process was started with; None where nothing runs or it is not ours."""
        pid = self.properties.get('MainPID', '0')
        if pid == '0':
            return None
        try:
            with open(f'/proc/{pid}/environ', 'rb') as stream:
                environment = stream.read().split(b'\0')
        except OSError:
            return None
        prefix = f'{INPUTS_VARIABLE}='.encode()
        return next((entry[len(prefix):].decode() for entry in environment if entry.startswith(prefix)), None)

    def journal(self):
        return self.host.run(['journalctl', '--unit', self.name, '--lines', str(JOURNAL_LINES), '--no-pager', '--output', 'cat']).stdout.strip()


class Record:
    """What the digests of a component stand for, so that a restart can be explained; and what was applied or reloaded."""

    def __init__(self, host, name):
        self.host = host
        self.path = f'{STATE_DIR}/{name}.json'
        self.data = self._read()

    def _read(self):
        try:
            with open(self.path, encoding='utf-8') as stream:
                return json.load(stream)
        except (FileNotFoundError, ValueError):
            return {}

    def get(self, key, default=None):
        return self.data.get(key, default)

    def update(self, **values):
        changed = {**self.data, **values}
        if changed != self.data:
            self.data = changed
            self.host.write(self.path, json.dumps(changed, indent=1, sort_keys=True).encode(), 0o600)


def reconcile(component, check_mode=False, defer_restart=False):
    """Make the host have the component as described.

    :arg component: :class:`Component`
    :arg check_mode: say what would be done, do nothing
    :arg defer_restart: when a running process would have to be restarted, do nothing at all and say so
        (``deferred``): the caller asks again when it is this host's turn
    :returns: a dict: ``changed``, ``changes`` (list of text), ``restart`` (reason or None), ``deferred``, ``diff``
    :raises ComponentError: with what, where and what to do
    """
    plan = _Run(component, Host(check_mode=True))
    plan.run()
    if check_mode:
        return plan.result()
    if not plan.changes:
        plan.wait_until_healthy()
        return plan.result()
    if defer_restart and plan.interrupts:
        return {**plan.result(), 'deferred': True}
    real = _Run(component, Host(check_mode=False))
    real.run()
    return real.result()


class _Run:
    def __init__(self, component, host):
        self.component = component
        self.host = host
        self.changes: list[Change] = []
        self.restart: str | None = None
        self.interrupts = False

    def result(self):
        return {
            'changed': bool(self.changes),
            'changes': [str(change) for change in self.changes],
            'restart': self.restart,
            'deferred': False,
            'diff': [
                {'before_header': change.what, 'after_header': change.what, 'before': change.before, 'after': change.after}
                for change in self.changes
                if change.before != change.after
            ],
        }

    def run(self):
        component = self.component
        self._own()
        self._user()
        for directory in component.directories:
            self._directory(directory)
        for artifact in component.artifacts:
            self._artifact(artifact)
        for item in component.files:
            self._file(item)
        if component.service:
            self._service()
        elif component.apply:
            self._apply()
        if component.images:
            self._images(component.images)

    def _own(self):
        """Before anything is written, write down what will be ours: a reset removes just that, also after a run that died."""
        component = self.component
        record = Record(self.host, component.name)
        owned = record.get('owns', {})
        paths = {item.path for item in component.files if not item.absent} | {item.path for item in component.directories}
        if component.unit:
            paths.add(f'{UNIT_DIR}/{component.service}')
        if component.service:
            paths.add(component.drop_in)
        paths.update(f'{item.get("link_dir", component.bin_dir)}/{name}' for item in component.artifacts for name in item.get('install', {}))
        record.update(owns={
            'paths': sorted(paths.union(owned.get('paths', []))),
            'service': component.service or owned.get('service'),
            'unit': bool(component.unit),
        })

    # what is on the disk

    def _user(self):
        user = self.component.user
        if not user or user == 'root':
            return
        try:
            pwd.getpwnam(user)
        except KeyError:
            self.changes.append(Change(f'user {user}', 'created'))
            self.host.change(['useradd', '--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin', user])

    def _directory(self, wanted):
        try:
            status = os.stat(wanted.path)
        except FileNotFoundError:
            self.changes.append(Change(wanted.path, 'directory created'))
            if not self.host.check_mode:
                os.makedirs(wanted.path, mode=wanted.mode)
                os.chmod(wanted.path, wanted.mode)
                os.chown(wanted.path, *ids(wanted.owner, wanted.group))
            return
        self._attributes(wanted, status)

    def _attributes(self, wanted, status):
        """Mode and owner; a user that check mode did not create yet counts as a difference already named."""
        try:
            owner = ids(wanted.owner, wanted.group)
        except ComponentError:
            if self.host.check_mode:
                return
            raise
        if (status.st_mode & 0o7777) != wanted.mode:
            self.changes.append(Change(wanted.path, f'mode {status.st_mode & 0o7777:04o} -> {wanted.mode:04o}'))
            if not self.host.check_mode:
                os.chmod(wanted.path, wanted.mode)
        if (status.st_uid, status.st_gid) != owner:
            self.changes.append(Change(wanted.path, f'owner {status.st_uid}:{status.st_gid} -> {wanted.owner}:{wanted.group}'))
            if not self.host.check_mode:
                os.chown(wanted.path, *owner)

    def _artifact(self, artifact):
        component = self.component
        try:
            done = artifacts.install(
                artifact,
                install_dir=component.install_dir,
                bin_dir=component.bin_dir,
                check_mode=self.host.check_mode,
                timeout=component.download_timeout,
            )
        except artifacts.ArtifactError as error:
            raise ComponentError(str(error)) from error
        if done.changed:
            before = done.version_before
            action = f'{before} -> {artifact["version"]}' if before and before != artifact['version'] else f'{artifact["version"]} installed'
            self.changes.append(Change(f'artifact {artifact["name"]}', action))

    def _file(self, wanted):
        if wanted.absent:
            self._absent(wanted)
            return
        before = read(wanted.path)
        if wanted.pending:
            self.changes.append(Change(wanted.path, wanted.pending))
            return
        if before != wanted.content:
            action = 'created' if before is None else 'changed'
            self.changes.append(Change(wanted.path, action, *shown(wanted, before)))
            self.host.write(wanted.path, wanted.content, wanted.mode, wanted.owner, wanted.group)
            return
        self._attributes(wanted, os.stat(wanted.path))

    def _absent(self, wanted):
        if not os.path.lexists(wanted.path):
            return
        self.changes.append(Change(wanted.path, 'removed'))
        if not self.host.check_mode:
            if os.path.isdir(wanted.path) and not os.path.islink(wanted.path):
                shutil.rmtree(wanted.path)
            else:
                os.unlink(wanted.path)

    # what runs

    def _inputs(self, effect):
        """What the process depends on, by the effect that a change has on it: name -> digest."""
        inputs = {item.path: item.pending or item.digest for item in self.component.files if item.on_change == effect and not item.absent}
        if effect == 'restart':
            inputs.update({f'artifact {item["name"]}': item['sha256'] for item in self.component.artifacts})
            if self.component.unit:
                inputs[f'{self.component.service} (unit)'] = hashlib.sha256(self.component.unit.encode()).hexdigest()
        return inputs

    def _service(self):
        component, host = self.component, self.host
        unit = Unit(host, component.service)
        record = Record(host, component.name)
        inputs = self._inputs('restart')
        digest = digest_of(inputs)
        running = unit.running_inputs

        unit_changed = self._unit_files(digest)
        known = dict(record.get('inputs', {}))
        if not host.check_mode:
            record.update(inputs={key: known[key] for key in known if key == running} | {digest: inputs})
        if component.validate and self.changes:
            host.change(component.validate)
        if not host.check_mode and (unit_changed or unit.needs_daemon_reload):
            host.change(['systemctl', 'daemon-reload'])
            unit.refresh()
        if not unit.enabled:
            self.changes.append(Change(component.service, 'enabled'))
            host.change(['systemctl', 'enable', component.service])

        if not unit.active:
            self.changes.append(Change(component.service, 'started'))
            self._interrupt(['systemctl', 'start', '--no-block', component.service], unit)
        elif running != digest:
            self.restart = reason(known.get(running), inputs)
            self.interrupts = True
            self.changes.append(Change(component.service, f'restarted, because {self.restart}'))
            self._interrupt(['systemctl', 'restart', '--no-block', component.service], unit)
        else:
            self._reload(unit, record)
        if not host.check_mode:
            self.wait_until_healthy()

    def _unit_files(self, digest):
        component = self.component
        before = len(self.changes)
        if component.unit:
            self._file(File(path=f'{UNIT_DIR}/{component.service}', content=component.unit.encode()))
        drop_in = f'# Written last: the process that has this digest was started from these inputs.\n[Service]\nEnvironment={INPUTS_VARIABLE}={digest}\n'
        if read(component.drop_in) != drop_in.encode():
            # Told through what led to it, so it is a change of its own only where nothing else is.
            self.host.write(component.drop_in, drop_in.encode(), 0o644)
            return True
        return len(self.changes) > before

    def _interrupt(self, argv, unit):
        if self.host.check_mode:
            return
        if unit.failed:
            self.host.change(['systemctl', 'reset-failed', self.component.service])
        self.host.change(argv)

    def _reload(self, unit, record):
        inputs = self._inputs('reload')
        if not inputs:
            return
        digest = digest_of(inputs)
        reloaded = record.get('reload', {})
        invocation = unit.properties.get('InvocationID')
        current = reloaded.get('inputs', {}) if reloaded.get('invocation') == invocation else None
        if current is not None and digest_of(current) == digest:
            return
        if current is None and not any(change.what in inputs for change in self.changes):
            # The process started after these files were last written.
            record.update(reload={'invocation': invocation, 'inputs': inputs})
            return
        self.changes.append(Change(self.component.service, f'reloaded, because {reason(current, inputs)}'))
        self.host.change(['systemctl', 'reload', self.component.service])
        record.update(reload={'invocation': invocation, 'inputs': inputs})

    def _apply(self):
        """A component without a process: a command brings its files into force."""
        record = Record(self.host, self.component.name)
        inputs = self._inputs('restart')
        if record.get('applied') == digest_of(inputs):
            return
        self.changes.append(Change(self.component.name, 'applied'))
        self.host.change(self.component.apply)
        record.update(applied=digest_of(inputs))

    def _images(self, images):
        if self.host.check_mode and self.component.service and not Unit(self.host, self.component.service).active:
            for image in images.wanted:
                self.changes.append(Change(f'image {image["ref"]}', 'loaded'))
            return
        listed = self.host.run(images.list_command)
        if listed.returncode:
            raise ComponentError(f'{" ".join(images.list_command)}: {listed.stderr.strip()}')
        present = set(listed.stdout.split())
        for image in images.wanted:
            if image['ref'] in present:
                continue
            self.changes.append(Change(f'image {image["ref"]}', 'loaded'))
            if not self.host.check_mode:
                self._load(images, image)

    def _load(self, images, image):
        with tempfile.TemporaryDirectory(prefix='hardway-image-', dir='/var/lib') as directory:
            archive = os.path.join(directory, 'image.tar')
            try:
                artifacts.fetch(image['url'], image['sha256'], archive, timeout=self.component.download_timeout)
            except artifacts.ArtifactError as error:
                raise ComponentError(str(error)) from error
            self.host.change([*images.load_command, archive])

    # health

    def wait_until_healthy(self):
        component, health = self.component, self.component.health
        if health.skip or not component.service:
            return
        unit = Unit(self.host, component.service)
        digest = digest_of(self._inputs('restart'))
        deadline = time.monotonic() + health.timeout
        healthy_since = None
        hold = health.hold if self.changes else 0
        while True:
            trouble = self._trouble(unit, digest)
            now = time.monotonic()
            if trouble is None:
                healthy_since = healthy_since or now
                if now - healthy_since >= hold:
                    return
            else:
                healthy_since = None
                if unit.failed or now > deadline:
                    break
            time.sleep(HEALTH_INTERVAL)
        raise ComponentError(
            f'{component.service} is not healthy after {health.timeout:g} s: {trouble}. '
            f'The last lines of its journal:\n{unit.journal()}'
        )

    def _trouble(self, unit, digest):
        unit.refresh()
        if unit.properties.get('ActiveState') != 'active':
            return f'the unit is {unit.properties.get("ActiveState")} ({unit.properties.get("Result")})'
        if unit.properties.get('MainPID', '0') != '0' and unit.running_inputs != digest:
            return 'the old process is still there'
        return probe(self.host, self.component.health)


def probe(host, health):
    """One look at a component's health: None, or what is wrong in words."""
    if health.url:
        trouble = _probe_url(health)
        if trouble:
            return trouble
    if health.tcp:
        address, port = health.tcp.rsplit(':', 1)
        try:
            socket.create_connection((address.strip('[]'), int(port)), timeout=2).close()
        except OSError as error:
            return f'{health.tcp}: {error}'
    if health.command:
        done = host.run(health.command, timeout=30)
        if done.returncode:
            return f'{" ".join(health.command)}: {(done.stderr or done.stdout).strip()}'
    return None


def _probe_url(health):
    parts = urllib.parse.urlsplit(health.url)
    try:
        if parts.scheme == 'https':
            context = ssl.create_default_context(cafile=health.ca) if health.verify else ssl._create_unverified_context()
            if health.certificate:
                context.load_cert_chain(health.certificate, health.key)
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=5, context=context)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
        try:
            connection.request('GET', parts.path or '/')
            answer = connection.getresponse()
            body = answer.read(4000).decode(errors='replace')
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return f'{health.url}: {error}'
    return None if answer.status == 200 else f'{health.url} answered {answer.status}: {body.strip()[-500:]}'


def digest_of(inputs):
    """One digest for a set of inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def reason(before, after):
    """Why a process has to start anew, in words: what its inputs were and what they are."""
    if before is None:
        return 'it was not started by this collection or its inputs are unknown'
    words = [f'{name} changed' for name in sorted(after) if name in before and before[name] != after[name]]
    words += [f'{name} is new' for name in sorted(after) if name not in before]
    words += [f'{name} is gone' for name in sorted(before) if name not in after]
    return ', '.join(words) or 'a restart was owed'


def read(path):
    """A file's content; None where there is none."""
    try:
        with open(path, 'rb') as stream:
            return stream.read()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def shown(wanted, before):
    """Before and after as a diff may show them: certificates parsed, secrets not at all."""
    if wanted.secret:
        return ('' if before is None else SECRET_TEXT), SECRET_TEXT if before is None else SECRET_TEXT.replace('not shown', 'changed, not shown')
    return _text(before), _text(wanted.content)


def _text(content):
    if not content:
        return ''
    if b'-----BEGIN CERTIFICATE-----' in content and b'apiVersion' not in content:
        return ''.join(_certificate_text(part) for part in content.split(b'-----BEGIN CERTIFICATE-----')[1:])
    return content.decode(errors='replace')


def _certificate_text(part):
    pem = '-----BEGIN CERTIFICATE-----' + part.decode(errors='replace')
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).hexdigest()
    with tempfile.NamedTemporaryFile('w', suffix='.pem') as stream:
        stream.write(pem)
        stream.flush()
        # The standard library has no other parser; hosts have no third-party Python.
        parsed = ssl._ssl._test_decode_cert(stream.name)
    subject = ', '.join(f'{name}={value}' for group in parsed['subject'] for name, value in group)
    issuer = ', '.join(f'{name}={value}' for group in parsed['issuer'] for name, value in group)
    names = ', '.join(f'{kind}:{value}' for kind, value in parsed.get('subjectAltName', ()))
    return (
        f'subject: {subject}\nissuer: {issuer}\nsubjectAltName: {names}\n'
        f'notBefore: {parsed["notBefore"]}\nnotAfter: {parsed["notAfter"]}\nfingerprint: {fingerprint}\n'
    )
