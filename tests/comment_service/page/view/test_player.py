"""talk.js, player.js and replay.js: the video itself, and the talk of a recording in step with it"""

import wave
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import expect_messages, open_live
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECONDS = 60
PLANNED = {
    "id": "demo",
    "title": "A talk",
    "state": "planned",
    "plannedAt": None,
    "startedAt": None,
    "playbackUrl": None,
}


def recording(folder: Path) -> Path:
    """A minute of silence, which every browser plays and jumps in"""
    path = folder / "recording.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8_000)
        file.writeframes(b"\x80" * 8_000 * SECONDS)
    return path


def live(stand_in: StandIn, **more: Any) -> dict[str, Any]:
    return {**PLANNED, "state": "live", "startedAt": stand_in._ms, **more}


async def test_a_live_video_plays_beside_its_talk_and_can_be_put_away(
    stand_in: StandIn, open_page: OpenPage, tmp_path: Path
) -> None:
    stand_in.recording = recording(tmp_path)
    stand_in.record = live(stand_in, playbackUrl=f"{stand_in.url}/recording.wav")
    page = await open_live(open_page, stand_in, viewport={"width": 1280, "height": 800})
    player, talk = page.locator("#player"), page.locator("main")
    await expect(player.locator("video")).to_be_visible()
    video_box, talk_box = await player.bounding_box(), await talk.bounding_box()
    assert video_box is not None
    assert talk_box is not None
    assert video_box["x"] + video_box["width"] <= talk_box["x"], "beside each other"
    await page.set_viewport_size({"width": 390, "height": 844})
    video_box, talk_box = await player.bounding_box(), await talk.bounding_box()
    assert video_box is not None
    assert talk_box is not None
    assert video_box["y"] + video_box["height"] <= talk_box["y"], "above the talk"
    toggle = page.get_by_role("button", name="Video")
    await toggle.click()
    await expect(player).to_be_hidden()
    await expect(toggle).to_have_attribute("aria-expanded", "false")
    await toggle.click()
    await expect(player.locator("video")).to_be_visible()
    stand_in.say("hello")
    await expect_messages(page, ["hello"])


async def test_a_video_without_a_recording_has_no_player(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.record = live(stand_in)
    page = await open_live(open_page, stand_in)
    await expect(page.locator("#title")).to_have_text("A talk")
    await expect(page.locator("#player")).to_be_hidden()
    await expect(page.locator("#watch")).to_be_hidden()


async def test_what_cannot_be_played_has_a_link(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.record = live(stand_in, playbackUrl=f"{stand_in.url}/none.mp4")
    page = await open_live(open_page, stand_in)
    await expect(page.get_by_role("link", name="Open it by itself")).to_have_attribute(
        "href", stand_in.record["playbackUrl"]
    )


async def seek(page: Page, seconds: float) -> None:
    await page.evaluate("at => document.querySelector('video').currentTime = at", seconds)


async def test_a_recording_plays_with_its_talk_in_step(stand_in: StandIn, open_page: OpenPage, tmp_path: Path) -> None:
    stand_in.recording = recording(tmp_path)
    stand_in.record = live(stand_in, state="ended", playbackUrl=f"{stand_in.url}/recording.wav")
    began = stand_in._ms
    for second in range(10, SECONDS, 10):
        stand_in._ms = began + second * 1000
        stand_in.arrive(stand_in.comment(f"at {second}"))
    whole = [f"at {second}" for second in range(10, SECONDS, 10)]
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect(page.locator("#state")).to_have_text("Ended")
    await expect_messages(page, whole)
    video = page.locator("video")
    await video.evaluate("video => { video.muted = true; return video.play(); }")
    await expect_messages(page, [])
    await video.evaluate("video => video.pause()")
    await seek(page, 25)
    await expect_messages(page, ["at 10", "at 20"])
    await seek(page, 29.5)
    await video.evaluate("video => video.play()")
    await expect_messages(page, ["at 10", "at 20", "at 30"])  # it has been said meanwhile
    await video.evaluate("video => { video.playbackRate = 16; }")
    await expect_messages(page, whole)
    await seek(page, 15)
    await video.evaluate("video => video.pause()")
    await expect(page.locator("#comments article .message").first).to_have_text("at 10")
    await page.get_by_role("button", name="Show the whole talk").click()
    await expect_messages(page, whole)


async def test_an_ended_video_takes_no_comments(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.record = live(stand_in)
    page = await open_live(open_page, stand_in)
    await expect(page.get_by_role("form", name="Write a comment")).to_be_visible()
    stand_in.send("video", {**stand_in.record, "state": "ended"})
    await expect(page.locator("#state")).to_have_text("Ended")
    await expect(page.get_by_role("form", name="Write a comment")).to_be_hidden()
    await expect(page.locator("#closed")).to_contain_text("Comments are closed.")
    stand_in.say("one that was on its way")
    await expect_messages(page, ["one that was on its way"])
