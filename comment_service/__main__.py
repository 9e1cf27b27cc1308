"""python -m comment_service: accepts comments, serves pages of them, and sends viewers to their RMS node."""

from comment_service.config import Config
from comment_service.http.page_build import PageError
from comment_service.node.claim import NodeTaken, NoNodeFree
from comment_service.publish.watermark import StateDirInUse
from comment_service.service import build
from history.opening import InvalidStoreUrl
from history.spool.files import SpoolInUse
from proto.process import run_process

CANNOT_START = (InvalidStoreUrl, NoNodeFree, NodeTaken, PageError, StateDirInUse, SpoolInUse)

if __name__ == "__main__":
    run_process("comment_service", Config.parse(), build, CANNOT_START)
