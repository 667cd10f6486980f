"""Which SDK this environment has, and where it differs from the others."""

import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Client:
    """One published Python SDK in one of its two forms."""

    package: str
    form: str

    @property
    def name(self):
        return f"{self.package}-{self.form}"

    @property
    def module(self):
        return importlib.import_module({"e2b": "e2b", "novita": "novita_sandbox.core"}[self.package])

    @property
    def asynchronous(self):
        return self.form == "async"

    @property
    def large_output(self):
        """Bytes of output that stand for a lot: Novita's client takes quadratic time, 80 s for 64 MiB."""
        return (64 if self.package == "e2b" else 16) << 20

    def error(self, kind):
        """The class that stands for a kind of failure."""
        if kind == "unmapped":
            # Novita passes some failures on as its Connect client raised them.
            if self.package == "e2b":
                return self.error("any")
            return importlib.import_module("novita_sandbox.connect.client").ConnectException
        return getattr(
            self.module,
            {
                "invalid_argument": "InvalidArgumentException",
                "unauthenticated": "AuthenticationException",
                "not_found": "NotFoundException",
                "file_not_found": "FileNotFoundException",
                "timeout": "TimeoutException",
                "exit": "CommandExitException",
                "any": "SandboxException",
            }[kind],
        )

    def sandbox_class(self):
        return getattr(self.module, "AsyncSandbox" if self.asynchronous else "Sandbox")

    async def sandbox(self, url):
        """The sandbox object of debug mode, which asks no control plane."""
        made = self.sandbox_class().create(debug=True, sandbox_url=url)
        return await made if self.asynchronous else made

    def secured(self, url, token):
        """A sandbox object with an access token, as `create` builds it from the answer of a control plane."""
        connection = importlib.import_module(f"{self.module.__name__}.connection_config")
        versions = importlib.import_module(f"{self.module.__name__}.envd.versions")
        headers = {} if token is None else {"X-Access-Token": token}
        return self.sandbox_class()(
            sandbox_id="debug_sandbox_id",
            sandbox_domain=None,
            envd_version=versions.ENVD_DEBUG_FALLBACK,
            envd_access_token=token,
            traffic_access_token=None,
            connection_config=connection.ConnectionConfig(
                debug=True, sandbox_url=url, extra_sandbox_headers=headers
            ),
        )
