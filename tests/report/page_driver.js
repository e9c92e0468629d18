// Visits every tab of a page, sorts and filters, and writes what it saw into the page.
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const drawn = async () => { while (document.body.dataset.drawing) await wait(20); };
(async () => {
  const said = {};
  await drawn();
  for (const tab of document.querySelectorAll("[role=tab]")) {
    tab.click(); await wait(20); await drawn();
    const panel = document.getElementById(tab.id.slice(4));
    said[tab.id.slice(4)] = {
      charts: panel.querySelectorAll("canvas").length,
      text: panel.querySelector(".body").textContent.slice(0, 3000),
      visible: !panel.hidden,
      wide: document.documentElement.scrollWidth - innerWidth,
    };
  }
  document.getElementById("tab-overview").click(); await drawn();
  const column = () => [...document.querySelectorAll("#overview tbody tr")].map((row) => row.lastChild.textContent);
  const head = () => [...document.querySelectorAll("#overview th button")].find((one) => one.textContent === "Folder");
  head().click(); said.up = column(); head().click(); said.down = column();
  const filter = document.getElementById("filter");
  filter.value = "seed=1 poor"; filter.dispatchEvent(new Event("input")); said.filtered = column();
  said.dark = getComputedStyle(document.body).backgroundColor;
  const pre = document.createElement("pre"); pre.id = "said"; pre.textContent = JSON.stringify(said); document.body.append(pre);
})();
