"""How GitHub's API writes things: the shapes are those of its published description."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from urllib.parse import quote

from tests.servers.github_git import ChangedFile, Commit, Entry, Signature, iso
from tests.servers.github_records import LEVELS, Comment, Issue, Json, Label, Records, Repo, Run

WEB = "https://github.com"
DOCS = "https://docs.github.com/rest"
# Every address that a repository lists of itself, below its own.
_REPO_URLS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
_USER_URLS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}


def error(status: int, message: str, errors: list[Json] | None = None) -> Json:
    """The body of an answer that says no."""
    body: Json = {"message": message, "documentation_url": DOCS, "status": str(status)}
    return {**body, "errors": errors} if errors else body


class Writer:
    """`api` is the address that all others begin with."""

    def __init__(self, records: Records, api: str) -> None:
        self.records = records
        self.api = api

    # -- people ----------------------------------------------------------------------------------

    def user(self, login: str) -> Json:
        url = f"{self.api}/users/{quote(login)}"
        user_id = self.records.user_id(login)
        return {
            "login": login,
            "id": user_id,
            "node_id": node_id("User", user_id),
            "avatar_url": f"https://avatars.githubusercontent.com/u/{user_id}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{WEB}/{quote(login)}",
            **{name: url + path for name, path in _USER_URLS.items()},
            "type": "Bot" if login.endswith("[bot]") else "User",
            "site_admin": False,
        }

    def own_user(self, login: str) -> Json:
        """Oneself, as `GET /user` tells."""
        unset = ("company", "blog", "location", "email", "hireable", "bio")
        counts = (
            "public_repos public_gists followers following private_gists total_private_repos owned_private_repos "
            "disk_usage collaborators"
        )
        return {
            **self.user(login),
            "name": login,
            **dict.fromkeys(unset),
            **dict.fromkeys(counts.split(), 0),
            "created_at": "2020-01-01T00:00:00Z",
            "updated_at": "2020-01-01T00:00:00Z",
            "two_factor_authentication": True,
            "user_view_type": "private",
        }

    # -- repositories ----------------------------------------------------------------------------

    def repo_url(self, repo: Repo) -> str:
        return f"{self.api}/repos/{repo.full_name}"

    def repo(self, repo: Repo, viewer: str | None, *, full: bool = False) -> Json:
        url, html, forks = self.repo_url(repo), f"{WEB}/{repo.full_name}", len(self.records.forks(repo))
        open_issues = sum(issue.state == "open" for issue in repo.issues.values())
        level = LEVELS.index(repo.permission(viewer))
        body: Json = {
            "id": repo.id,
            "node_id": node_id("Repository", repo.id),
            "name": repo.name,
            "full_name": repo.full_name,
            "owner": self.user(repo.owner),
            "private": repo.private,
            "visibility": "private" if repo.private else "public",
            "html_url": html,
            "description": None,
            "fork": repo.parent is not None,
            "url": url,
            **{name: url + path for name, path in _REPO_URLS.items()},
            "git_url": f"git://github.com/{repo.full_name}.git",
            "ssh_url": f"git@github.com:{repo.full_name}.git",
            "clone_url": f"{html}.git",
            "svn_url": html,
            "mirror_url": None,
            "homepage": None,
            "language": None,
            "license": None,
            "size": 1,
            "default_branch": repo.default_branch,
            **dict.fromkeys(("has_issues", "has_projects", "has_wiki", "has_downloads", "allow_forking"), True),
            **dict.fromkeys(("has_pages", "has_discussions", "archived", "disabled", "is_template"), False),
            "topics": [],
            "forks_count": forks,
            "forks": forks,
            "open_issues_count": open_issues,
            "open_issues": open_issues,
            **dict.fromkeys(("stargazers_count", "watchers_count", "watchers"), 0),
            "pushed_at": iso(repo.created),
            "created_at": iso(repo.created),
            "updated_at": iso(repo.created),
        }
        if viewer:
            if viewer.endswith("[bot]"):  # the rights of an app are not told here
                level = -1
            body["permissions"] = {
                "admin": level >= LEVELS.index("admin"),
                "maintain": level >= LEVELS.index("admin"),
                "push": level >= LEVELS.index("push"),
                "triage": level >= LEVELS.index("push"),
                "pull": level >= LEVELS.index("pull"),
            }
        if full:
            body |= {"subscribers_count": 0, "network_count": forks}
            if repo.parent:
                body |= {"parent": self.repo(repo.parent, viewer), "source": self.repo(repo.source, viewer)}
        return body

    # -- git -------------------------------------------------------------------------------------

    def ref(self, repo: Repo, name: str, kind: str, sha: str) -> Json:
        url = self.repo_url(repo)
        return {
            "ref": name,
            "node_id": node_id("Ref", repo.id, name),
            "url": f"{url}/git/{quote(name)}",
            "object": {"sha": sha, "type": kind, "url": f"{url}/git/{kind}s/{sha}"},
        }

    def git_commit(self, repo: Repo, commit: Commit) -> Json:
        url, html = self.repo_url(repo), f"{WEB}/{repo.full_name}/commit"
        return {
            "sha": commit.sha,
            "node_id": node_id("Commit", repo.id, commit.sha),
            "url": f"{url}/git/commits/{commit.sha}",
            "html_url": f"{html}/{commit.sha}",
            "author": _signature(commit.author),
            "committer": _signature(commit.committer),
            "message": commit.message,
            "tree": {"sha": commit.tree, "url": f"{url}/git/trees/{commit.tree}"},
            "parents": [
                {"sha": sha, "url": f"{url}/git/commits/{sha}", "html_url": f"{html}/{sha}"} for sha in commit.parents
            ],
            "verification": dict(_UNVERIFIED),
        }

    def commit(self, repo: Repo, commit: Commit, files: Iterable[ChangedFile] | None = None) -> Json:
        """A commit as listed and compared, which is another shape than that of the git database."""
        url, html = self.repo_url(repo), f"{WEB}/{repo.full_name}/commit"
        body: Json = {
            "sha": commit.sha,
            "node_id": node_id("Commit", repo.id, commit.sha),
            "url": f"{url}/commits/{commit.sha}",
            "html_url": f"{html}/{commit.sha}",
            "comments_url": f"{url}/commits/{commit.sha}/comments",
            "commit": {
                "url": f"{url}/git/commits/{commit.sha}",
                "author": _signature(commit.author),
                "committer": _signature(commit.committer),
                "message": commit.message,
                "comment_count": 0,
                "tree": {"sha": commit.tree, "url": f"{url}/git/trees/{commit.tree}"},
                "verification": dict(_UNVERIFIED),
            },
            "author": self._known(commit.author),
            "committer": self._known(commit.committer),
            "parents": [
                {"sha": sha, "url": f"{url}/commits/{sha}", "html_url": f"{html}/{sha}"} for sha in commit.parents
            ],
        }
        if files is not None:
            listed = [self.file(repo, commit.sha, file) for file in files]
            added, deleted = (sum(file[kind] for file in listed) for kind in ("additions", "deletions"))
            body |= {"files": listed, "stats": {"additions": added, "deletions": deleted, "total": added + deleted}}
        return body

    def file(self, repo: Repo, commit: str, file: ChangedFile) -> Json:
        path = quote(file.path)
        return {
            "sha": file.sha,
            "filename": file.path,
            "status": file.status,
            "additions": file.additions,
            "deletions": file.deletions,
            "changes": file.additions + file.deletions,
            "blob_url": f"{WEB}/{repo.full_name}/blob/{commit}/{path}",
            "raw_url": f"{WEB}/{repo.full_name}/raw/{commit}/{path}",
            "contents_url": f"{self.repo_url(repo)}/contents/{path}?ref={commit}",
        }

    def tree(self, repo: Repo, sha: str, entries: Iterable[Entry]) -> Json:
        url = self.repo_url(repo)
        listed: list[Json] = []
        for entry in entries:
            item: Json = {"path": entry.path, "mode": entry.mode, "type": entry.type, "sha": entry.sha}
            if entry.type != "commit":  # a submodule is of another repository
                item["url"] = f"{url}/git/{entry.type}s/{entry.sha}"
            listed.append(item if entry.size is None else {**item, "size": entry.size})
        return {
            "sha": sha,
            "url": f"{url}/git/trees/{sha}",
            "tree": listed[: repo.most_entries],
            "truncated": len(listed) > repo.most_entries,
        }

    def blob(self, repo: Repo, sha: str, content: bytes) -> Json:
        return {
            "sha": sha,
            "node_id": node_id("Blob", repo.id, sha),
            "url": f"{self.repo_url(repo)}/git/blobs/{sha}",
            "size": len(content),
            "content": base64.encodebytes(content).decode(),
            "encoding": "base64",
        }

    def content(self, repo: Repo, ref: str, entry: Entry, path: str, content: bytes | None) -> Json:
        """A file with its content, or, `content` being None, one line of a listing."""
        kind = {"tree": "dir", "commit": "submodule"}.get(entry.type, "file")
        url = f"{self.repo_url(repo)}/contents/{quote(path)}?ref={quote(ref, safe='')}"
        git = f"{self.repo_url(repo)}/git/{entry.type}s/{entry.sha}"
        html = f"{WEB}/{repo.full_name}/{entry.type}/{quote(ref)}/{quote(path)}"
        raw = f"https://raw.githubusercontent.com/{repo.full_name}/{quote(ref)}/{quote(path)}"
        body: Json = {
            "type": kind,
            "name": path.rpartition("/")[2],
            "path": path,
            "sha": entry.sha,
            "size": entry.size or 0,
            "url": url,
            "git_url": git,
            "html_url": html,
            "download_url": raw if kind == "file" else None,
            "_links": {"self": url, "git": git, "html": html},
        }
        if content is not None:
            # above a megabyte the content is to be fetched in another way
            small = len(content) <= 2**20
            body["content"] = base64.encodebytes(content).decode() if small else ""
            body["encoding"] = "base64" if small else "none"
        return body

    def branch(self, repo: Repo, name: str, commit: Commit, *, full: bool) -> Json:
        url = f"{self.repo_url(repo)}/branches/{quote(name)}"
        protected = name in repo.protected
        body: Json = {"name": name, "protected": protected, "protection_url": f"{url}/protection"}
        if not full:
            short = {"sha": commit.sha, "url": f"{self.repo_url(repo)}/commits/{commit.sha}"}
            return {**body, "commit": short}
        links = {"self": url, "html": f"{WEB}/{repo.full_name}/tree/{quote(name)}"}
        return {
            **body,
            "commit": self.commit(repo, commit),
            "_links": links,
            "protection": {"enabled": protected},
        }

    # -- issues and pull requests ----------------------------------------------------------------

    def label(self, repo: Repo, label: Label) -> Json:
        return {
            "id": label.id,
            "node_id": node_id("Label", label.id),
            "url": f"{self.repo_url(repo)}/labels/{quote(label.name)}",
            "name": label.name,
            "color": label.color,
            "description": label.description,
            "default": False,
        }

    def issue(self, repo: Repo, issue: Issue) -> Json:
        url = f"{self.repo_url(repo)}/issues/{issue.number}"
        kind = "pull" if issue.pull else "issues"
        body: Json = {
            "id": issue.id,
            "node_id": node_id("Issue", issue.id),
            "url": url,
            "repository_url": self.repo_url(repo),
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "html_url": f"{WEB}/{repo.full_name}/{kind}/{issue.number}",
            "number": issue.number,
            "state": issue.state,
            "state_reason": issue.state_reason,
            "title": issue.title,
            "body": issue.body,
            "user": self.user(issue.user),
            "labels": [self.label(repo, repo.labels[name.lower()]) for name in issue.labels],
            "assignee": None,
            "assignees": [],
            "milestone": None,
            "locked": False,
            "comments": len(issue.comments),
            "author_association": self._association(repo, issue.user),
            "created_at": iso(issue.created),
            "updated_at": iso(issue.updated),
            "closed_at": iso(issue.closed) if issue.closed else None,
            "closed_by": self.user(issue.closed_by) if issue.closed_by else None,
        }
        if issue.pull:
            pull, html = f"{self.repo_url(repo)}/pulls/{issue.number}", body["html_url"]
            links = {"url": pull, "html_url": html, "diff_url": f"{html}.diff", "patch_url": f"{html}.patch"}
            body["pull_request"] = {**links, "merged_at": None}
        return body

    def comment(self, repo: Repo, issue: Issue, comment: Comment) -> Json:
        url = f"{self.repo_url(repo)}/issues"
        return {
            "id": comment.id,
            "node_id": node_id("IssueComment", comment.id),
            "url": f"{url}/comments/{comment.id}",
            "html_url": f"{WEB}/{repo.full_name}/issues/{issue.number}#issuecomment-{comment.id}",
            "issue_url": f"{url}/{issue.number}",
            "user": self.user(comment.user),
            "body": comment.body,
            "author_association": self._association(repo, comment.user),
            "created_at": iso(comment.created),
            "updated_at": iso(comment.created),
        }

    def pull(self, repo: Repo, issue: Issue, viewer: str | None, *, full: bool = False) -> Json:
        """A pull request as listed; `full` adds what only itself tells."""
        pull, head = issue.pull, self.records.repo(issue.pull.head_repo) if issue.pull else None
        if pull is None or head is None:
            raise ValueError(f"#{issue.number} is no pull request, or its fork is gone")
        url, html = f"{self.repo_url(repo)}/pulls/{issue.number}", f"{WEB}/{repo.full_name}/pull/{issue.number}"
        issue_url, statuses = f"{self.repo_url(repo)}/issues/{issue.number}", self.repo_url(head)
        about = self.issue(repo, issue)
        shared = ("number", "state", "title", "body", "user", "labels", "milestone", "locked", "assignee", "assignees")
        body: Json = {
            **{name: about[name] for name in (*shared, "created_at", "updated_at", "closed_at", "author_association")},
            "id": issue.id,
            "node_id": node_id("PullRequest", issue.id),
            "url": url,
            "html_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "issue_url": issue_url,
            "commits_url": f"{url}/commits",
            "review_comments_url": f"{url}/comments",
            "review_comment_url": f"{self.repo_url(repo)}/pulls/comments{{/number}}",
            "comments_url": f"{issue_url}/comments",
            "statuses_url": f"{statuses}/statuses/{pull.head_sha}",
            "merged_at": None,
            "merge_commit_sha": None,
            "requested_reviewers": [],
            "requested_teams": [],
            "draft": pull.draft,
            "auto_merge": None,
            "head": self._end(head, pull.head_ref, pull.head_sha, viewer),
            "base": self._end(repo, pull.base_ref, pull.base_sha, viewer),
        }
        links = {
            "self": url,
            "html": html,
            "issue": issue_url,
            "comments": body["comments_url"],
            "review_comments": body["review_comments_url"],
            "review_comment": body["review_comment_url"],
            "commits": body["commits_url"],
            "statuses": body["statuses_url"],
        }
        body["_links"] = {name: {"href": address} for name, address in links.items()}
        if full:
            base = repo.git.merge_base(pull.base_sha, pull.head_sha)
            files = repo.git.changed_files(base, pull.head_sha)
            body |= {
                "merged": False,
                "mergeable": None,  # GitHub, too, tells it only at a later look
                "mergeable_state": "unknown",
                "merged_by": None,
                "comments": len(issue.comments),
                "review_comments": 0,
                "maintainer_can_modify": pull.maintainer_can_modify,
                "commits": len(repo.git.log(f"{base}..{pull.head_sha}")),
                "additions": sum(file.additions for file in files),
                "deletions": sum(file.deletions for file in files),
                "changed_files": len(files),
            }
        return body

    def _end(self, repo: Repo, ref: str, sha: str, viewer: str | None) -> Json:
        owner = self.user(repo.owner)
        return {"label": f"{repo.owner}:{ref}", "ref": ref, "sha": sha, "user": owner, "repo": self.repo(repo, viewer)}

    def _association(self, repo: Repo, login: str) -> str:
        return "OWNER" if login == repo.owner else "COLLABORATOR" if repo.allows(login, "push") else "NONE"

    def _known(self, who: Signature) -> Json | None:
        """The user whose address signs a commit."""
        login = next((login for login in self.records.users if address_of(login) == who.email), None)
        return self.user(login) if login else None

    # -- workflows -------------------------------------------------------------------------------

    def workflow(self, repo: Repo, workflow_id: int, path: str, name: str) -> Json:
        url, html = self.repo_url(repo), f"{WEB}/{repo.full_name}"
        return {
            "id": workflow_id,
            "node_id": node_id("Workflow", workflow_id),
            "name": name,
            "path": path,
            "state": "active",
            "created_at": iso(repo.created),
            "updated_at": iso(repo.created),
            "url": f"{url}/actions/workflows/{workflow_id}",
            "html_url": f"{html}/blob/{repo.default_branch}/{path}",
            "badge_url": f"{html}/workflows/{quote(name)}/badge.svg",
        }

    def run(self, repo: Repo, run: Run) -> Json:
        url, workflow = f"{self.repo_url(repo)}/actions/runs/{run.id}", repo.workflow_ids[run.path]
        head, minimal = repo.git.commit(run.sha), self.repo(repo, None)
        return {
            "id": run.id,
            "node_id": node_id("WorkflowRun", run.id),
            "name": run.name,
            "display_title": run.title,
            "path": run.path,
            "run_number": run.number,
            "run_attempt": 1,
            "event": run.event,
            "status": run.status,
            "conclusion": run.conclusion,
            "workflow_id": workflow,
            "check_suite_id": run.id,
            "check_suite_node_id": node_id("CheckSuite", run.id),
            "head_branch": run.branch,
            "head_sha": run.sha,
            "url": url,
            "html_url": f"{WEB}/{repo.full_name}/actions/runs/{run.id}",
            "pull_requests": [],
            "created_at": iso(run.created),
            "updated_at": iso(run.updated),
            "run_started_at": iso(run.created),
            "actor": self.user(run.actor),
            "triggering_actor": self.user(run.actor),
            "jobs_url": f"{url}/jobs",
            "logs_url": f"{url}/logs",
            "check_suite_url": f"{self.repo_url(repo)}/check-suites/{run.id}",
            "artifacts_url": f"{url}/artifacts",
            "cancel_url": f"{url}/cancel",
            "rerun_url": f"{url}/rerun",
            "previous_attempt_url": None,
            "workflow_url": f"{self.repo_url(repo)}/actions/workflows/{workflow}",
            "head_commit": {
                "id": head.sha,
                "tree_id": head.tree,
                "message": head.message,
                "timestamp": head.committer.date,
                "author": {"name": head.author.name, "email": head.author.email},
                "committer": {"name": head.committer.name, "email": head.committer.email},
            },
            "repository": minimal,
            "head_repository": minimal,
        }

    def job(self, repo: Repo, run: Run, number: int, job: Json) -> Json:
        """`job` is what a test said of it; the rest is filled in."""
        job_id = run.id * 1000 + number
        completed = job.get("status") == "completed"
        steps = [
            {"status": "queued", "conclusion": None, "started_at": None, "completed_at": None, **step, "number": n}
            for n, step in enumerate(job.get("steps", ()), 1)
        ]
        body: Json = {
            "id": job_id,
            "run_id": run.id,
            "run_url": f"{self.repo_url(repo)}/actions/runs/{run.id}",
            "run_attempt": 1,
            "node_id": node_id("CheckRun", job_id),
            "head_sha": run.sha,
            "head_branch": run.branch,
            "url": f"{self.repo_url(repo)}/actions/jobs/{job_id}",
            "html_url": f"{WEB}/{repo.full_name}/actions/runs/{run.id}/job/{job_id}",
            "status": "queued",
            "conclusion": None,
            "created_at": iso(run.created),
            "started_at": iso(run.created),
            "completed_at": iso(run.updated) if completed else None,
            "workflow_name": run.name,
            "check_run_url": f"{self.repo_url(repo)}/check-runs/{job_id}",
            "labels": ["ubuntu-latest"],
            "runner_id": None,
            "runner_name": None,
            "runner_group_id": None,
            "runner_group_name": None,
        }
        return {**body, **job, "steps": steps}


def node_id(*parts: object) -> str:
    return base64.b64encode(":".join(map(str, parts)).encode()).decode()


def address_of(login: str) -> str:
    """Where mail for a user goes, as GitHub writes it into commits."""
    return f"{login}@users.noreply.github.com"


def etag_of(body: bytes) -> str:
    return f'W/"{hashlib.sha256(body).hexdigest()}"'


_UNVERIFIED = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


def _signature(who: Signature) -> Json:
    return {"name": who.name, "email": who.email, "date": who.date}
