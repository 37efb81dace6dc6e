# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""One deployment made ready to be planned: release, linted arguments and model, read once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Mapping

from .. import releases
from ..arguments.architectures import check_architecture, use
from ..arguments.environment import lint_env
from ..arguments.lint import lint
from ..memory.weights_check import given_warnings
from ..model.info import ModelInfo, read_model
from ..model.naming import name_warnings
from ..request import Deployment, Request
from .formats import check_format
from .overrides import effective_config, uncounted_warnings, without_windows
from .serving import serving_warnings


@dataclass(frozen=True)
class Task:
    """``version`` is the release planned as, ``text`` the one asked for; ``remarks`` are the linter's."""

    request: Request
    deployment: Deployment
    device: str
    text: str
    version: tuple[int, ...]
    model: ModelInfo
    user: Mapping[str, Any]
    remarks: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.deployment.name

    @property
    def asked_length(self) -> int | None:
        """The context that was asked for, in tokens; None where it is left to the plan."""
        asked = self.user.get("max-model-len", self.deployment.max_model_len)
        return None if asked in (None, -1, "auto") else int(asked)

    @property
    def open(self) -> bool:
        """Whether the plan may look for more than was said: only for a context that the workload asks for.

        Whoever sets the context or the memory among the engine arguments has them as they are.
        """
        by_hand = ("max-model-len", "kv-cache-memory-bytes", "gpu-memory-utilization", "num-gpu-blocks-override")
        return self.deployment.max_model_len is not None and not any(name in self.user for name in by_hand)

    @property
    def concurrency(self) -> int | None:
        return self.deployment.concurrency


def prepare(request: Request, deployment: Deployment) -> tuple[Task, str | None]:
    """The task, and a warning about its release. Raises PlanError or InvalidRequest."""
    text = deployment.vllm_version or request.vllm_version
    version, warning = releases.resolve(text)
    user, remarks = lint(deployment.engine_args, version)
    remarks += lint_env(deployment.env, version)
    config = effective_config(deployment.model.config, user)
    if config is not deployment.model.config:
        deployment = replace(deployment, model=replace(deployment.model, config=config))
    remarks += check_architecture(deployment.model.config, version, user)
    model = without_windows(read_model(deployment.model.config, version), user)
    remarks += uncounted_warnings(user, deployment.env)
    check_format(model, deployment.model, user, version)
    remarks += name_warnings(deployment.model.id, model.quantization)
    remarks += given_warnings(deployment.model, model, version)
    if use(deployment.model.config, version) not in ("embed", "classify"):
        remarks += serving_warnings(user, model, deployment.model.id, version)
    task = Task(
        request=request,
        deployment=deployment,
        device=deployment.device or request.device,
        text=text,
        version=version,
        model=model,
        user=user,
        remarks=tuple(remarks),
    )
    return task, warning
