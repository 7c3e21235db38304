// Style and script of the report: inline, so that the page needs no network and can be sent. Colours are the console's: normal is grey,
// an alarm colour says abnormal, the accent what can be pointed at.

export const reportStyle = `
:root{color-scheme:light;--bg:#e8eaec;--surface:#f5f6f7;--raised:#fff;--line:#d2d6da;--line-soft:#e0e3e6;--ink:#1a1e23;--ink-2:#434b54;--ink-3:#5a636d;--accent:#16597a;--accent-tint:#d7e5ec;--p1:#a91117;--p2:#8a4100;--p3:#674e00;--ep:#f0811f;--ep-edge:#c95c00;--label:#74409a;--learn:#dde0e3;--grid:#dfe2e5;--trace:#343b42;--trace-2:#20388a}
@media(prefers-color-scheme:dark){:root:not([data-theme=light]){color-scheme:dark;--bg:#121417;--surface:#1a1d21;--raised:#23272c;--line:#2b3036;--line-soft:#23272c;--ink:#e3e6e9;--ink-2:#b3bac2;--ink-3:#929ba5;--accent:#74b4d4;--accent-tint:#1c323e;--p1:#ff8d8a;--p2:#ffac60;--p3:#ecd06a;--ep:#ff9a3c;--ep-edge:#ff9a3c;--label:#c197e4;--learn:#2b3036;--grid:#24282d;--trace:#b3bac2;--trace-2:#82a4f2}}
:root[data-theme=dark]{color-scheme:dark;--bg:#121417;--surface:#1a1d21;--raised:#23272c;--line:#2b3036;--line-soft:#23272c;--ink:#e3e6e9;--ink-2:#b3bac2;--ink-3:#929ba5;--accent:#74b4d4;--accent-tint:#1c323e;--p1:#ff8d8a;--p2:#ffac60;--p3:#ecd06a;--ep:#ff9a3c;--ep-edge:#ff9a3c;--label:#c197e4;--learn:#2b3036;--grid:#24282d;--trace:#b3bac2;--trace-2:#82a4f2}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:420 .8125rem/1.125rem Inter,system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header{display:flex;gap:12px;align-items:baseline;padding:10px 16px;background:var(--surface);border-bottom:1px solid var(--line)}
header b{font-size:1rem;font-weight:640;letter-spacing:-.01em}header span{color:var(--ink-3);overflow:hidden;text-overflow:ellipsis;white-space:nowrap}header button{margin-left:auto}
main{max-width:1500px;margin:0 auto;padding:12px;display:grid;gap:12px}
section{background:var(--surface);border:1px solid var(--line);border-radius:4px;min-width:0}
h1{font-size:1.25rem;line-height:1.625rem;font-weight:640;margin:4px 4px 0}h1+p{margin:0 4px;color:var(--ink-2);max-width:75ch}
h2{font-size:.8125rem;font-weight:640;margin:0;padding:8px 12px;border-bottom:1px solid var(--line-soft);display:flex;gap:12px;align-items:center;flex-wrap:wrap}h2 small{font-weight:420;color:var(--ink-3);font-size:.75rem}h2 .end{margin-left:auto;display:flex;gap:8px;align-items:center}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px}.cards div{background:var(--surface);border:1px solid var(--line);border-radius:4px;padding:10px 12px}.cards b{display:block;font-size:1.75rem;line-height:2rem;font-weight:540;font-feature-settings:"tnum" 1}.cards span{color:var(--ink-3);font-size:.75rem}
button,select{font:inherit;color:var(--ink);background:var(--raised);border:1px solid var(--line);border-radius:4px;min-height:28px;padding:2px 10px}button:hover{border-color:var(--accent)}:focus-visible{outline:2px solid var(--accent);outline-offset:1px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.75rem}th{text-align:left;font-weight:540;color:var(--ink-3);white-space:nowrap}th,td{padding:6px 12px;border-bottom:1px solid var(--line-soft);vertical-align:top}td.n,th.n{text-align:right;font-feature-settings:"tnum" 1}td.t{white-space:nowrap;font-feature-settings:"tnum" 1}tbody tr[tabindex]{cursor:pointer}tbody tr[tabindex]:hover,tbody tr.on{background:var(--accent-tint)}
.sev{display:inline-block;white-space:nowrap;font-weight:540}.s1{color:var(--p1)}.s2{color:var(--p2)}.s3{color:var(--p3)}
.bar{display:grid;grid-template-columns:minmax(0,1fr) 64px 38px;gap:6px;align-items:center;max-width:360px}.bar i{height:6px;background:var(--learn);border-radius:1px;overflow:hidden}.bar i b{display:block;height:100%;background:var(--trace)}.bar span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.bar em{font-style:normal;text-align:right;color:var(--ink-3);font-feature-settings:"tnum" 1}
.plot{padding:4px 12px 12px;touch-action:pan-y}.plot svg{display:block;width:100%;overflow:visible}.plot text{font-size:11px;fill:var(--ink-3);font-family:inherit}.plot .name{fill:var(--ink);font-weight:540;font-size:12px}.plot .val{fill:var(--accent);font-weight:540}
.key{display:flex;gap:16px;flex-wrap:wrap;padding:0 12px 10px;color:var(--ink-3);font-size:.75rem}.key i{display:inline-block;width:18px;height:9px;margin-right:6px;vertical-align:baseline}
ul{margin:0;padding:10px 12px 12px 28px;color:var(--ink-2);max-width:100ch}li{margin:2px 0}footer{color:var(--ink-3);font-size:.75rem;padding:0 4px 12px}
@media(max-width:640px){main{padding:8px;gap:8px}.cards{grid-template-columns:1fr 1fr;gap:8px}.cards b{font-size:1.25rem;line-height:1.5rem}th,td{padding:6px 8px}}
@media print{button,select{display:none}body{background:#fff}}
`

export const reportScript = `
'use strict';
const D=JSON.parse(document.getElementById('data').textContent),root=document.documentElement,box=document.getElementById('plot'),NS='http://www.w3.org/2000/svg';
const unpack=(t)=>{const b=atob(t),n=b.length/2,o=new Float32Array(n);for(let i=0;i<n;i++){const v=b.charCodeAt(2*i)|b.charCodeAt(2*i+1)<<8;o[i]=v===65535?NaN:v/65534}return o};
for(const a of D.assets){a.score.v=unpack(a.score.data);for(const c of a.channels){c.lo=unpack(c.low);c.hi=unpack(c.high)}}
let at=0,view=null,cursor=null,all=false;
const el=(n,a={},t)=>{const e=document.createElementNS(NS,n);for(const k in a)e.setAttribute(k,a[k]);if(t!==undefined)e.textContent=t;return e};
const fmt=(v)=>{if(!isFinite(v))return '–';const s=Math.abs(v)>=1e5||(v!==0&&Math.abs(v)<1e-3)?v.toExponential(2):Number(v.toPrecision(4)).toString();return s.replace('-','−')};
const when=(us,span)=>{if(D.timeKind==='row')return 'row '+(Math.round(us/1e6)+1);if(D.timeKind==='number'&&us<1e14)return fmt(us/1e6)+' s';const s=new Date(us/1000).toISOString();return span>3*864e8?s.slice(0,10):span>36e8*6?s.slice(5,16).replace('T',' '):s.slice(11,19)};
const whole=(us)=>D.timeKind==='date'||us>1e14?new Date(us/1000).toISOString().slice(0,19).replace('T',' ')+' UTC':when(us,0);
const path=(lo,hi,from,to,x,y)=>{let d='',pen=false,n=lo.length;for(let i=from;i<to;i++){const a=lo[i],b=hi[i];if(a!==a){continue}if(!pen||(i>from&&lo[i-1]!==lo[i-1]&&gap(lo,i)>n/200)){d+='M';pen=true}else d+='L';const X=x(i).toFixed(1);d+=X+' '+y(b).toFixed(1);if(a!==b)d+='L'+X+' '+y(a).toFixed(1)}return d};
const gap=(a,i)=>{let k=0;while(i-1-k>=0&&a[i-1-k]!==a[i-1-k])k++;return k};
function draw(){
 const A=D.assets[at];box.textContent='';if(!A)return;
 const W=Math.max(280,box.clientWidth-24),L=W<520?8:214,R=W-8,full=[A.fromUs,A.toUs],[f,t]=view||full,n=A.points;
 const from=Math.max(0,Math.floor((f-A.fromUs)/(A.toUs-A.fromUs)*n)-1),to=Math.min(n,Math.ceil((t-A.fromUs)/(A.toUs-A.fromUs)*n)+1);
 const X=(us)=>L+(us-f)/(t-f)*(R-L),x=(i)=>X(A.fromUs+(i+.5)/n*(A.toUs-A.fromUs));
 const eps=D.episodes.filter(e=>e.asset===A.place),labs=D.labels.filter(e=>e.asset===A.place);
 const shown=all?A.channels:A.channels.slice(0,12),narrow=L<20,head=narrow?16:0;
 const panels=[{name:'score',unit:'line at 1',lo:A.score.v,hi:A.score.v,min:0,max:A.score.max,h:96,isScore:true},...shown.map(c=>({name:c.name,unit:c.unit,lo:c.lo,hi:c.hi,min:c.min,max:c.max,h:54}))];
 let H=22;for(const p of panels){p.y=H+head;H+=p.h+head+14}H+=12;
 const svg=el('svg',{height:H,viewBox:'0 0 '+W+' '+H,role:'img','aria-label':'Score and channels of '+A.id+' over time, with '+eps.length+' episodes. The table below has the same.'});
 const clip='c'+at;const defs=el('defs'),cp=el('clipPath',{id:clip});cp.append(el('rect',{x:L,y:0,width:R-L,height:H}));defs.append(cp);svg.append(defs);
 const g=el('g',{'clip-path':'url(#'+clip+')'});svg.append(g);
 const top=16,bottom=H-16,band=(a,b,fill,op,y,h)=>g.append(el('rect',{x:X(a),y,width:Math.max(1.5,X(b)-X(a)),height:h,fill,opacity:op}));
 if(A.learnUs>A.fromUs)band(A.fromUs,A.learnUs,'var(--learn)',.55,top,bottom-top);
 for(const e of eps)band(e.fromUs,e.toUs,'var(--ep)',.2,top,bottom-top);
 for(const e of eps)band(e.fromUs,e.toUs,'var(--ep-edge)',1,top,4);
 for(const e of labs)band(e.fromUs,e.toUs,'var(--label)',1,top-6,4);
 const ticks=narrow?3:6;for(let k=0;k<=ticks;k++){const us=f+(t-f)*k/ticks,xx=X(us);g.append(el('line',{x1:xx,x2:xx,y1:top,y2:bottom,stroke:'var(--grid)'}));svg.append(el('text',{x:Math.min(R,Math.max(L,xx)),y:H-2,'text-anchor':k===0?'start':k===ticks?'end':'middle'},when(us,t-f)))}
 for(const p of panels){
  let lo=p.min,hi=p.max;if(p.isScore){hi=Math.max(2,hi)}if(!(hi>lo)){hi=lo+1;lo-=1}
  const log=p.isScore&&hi>20,S=log?(v)=>Math.log10(Math.max(v,.1)/.1)/Math.log10(hi/.1):(v)=>(v-lo)/(hi-lo),Y=(v)=>p.y+p.h-S(v)*p.h,y=(q)=>Y(p.min+q*(p.max-p.min));
  g.append(el('line',{x1:L,x2:R,y1:p.y+p.h,y2:p.y+p.h,stroke:'var(--line)'}));
  if(p.isScore)g.append(el('line',{x1:L,x2:R,y1:Y(1),y2:Y(1),stroke:'var(--ink-3)','stroke-dasharray':'4 3'}));
  g.append(el('path',{d:path(p.lo,p.hi,from,to,x,y),fill:'none',stroke:p.isScore?'var(--trace-2)':'var(--trace)','stroke-width':1.2,'stroke-linejoin':'round'}));
  const label=p.name.length>24&&!narrow?p.name.slice(0,23)+'…':p.name;
  if(narrow){svg.append(el('text',{x:L,y:p.y-4,class:'name'},label+(p.unit&&p.unit!=='1'?' ['+p.unit+']':'')))}
  else{const nm=el('text',{x:0,y:p.y+12,class:'name'},label);nm.append(el('title',{},p.name));svg.append(nm);if(p.unit&&p.unit!=='1')svg.append(el('text',{x:0,y:p.y+26},(log?'log, ':'')+p.unit));
   svg.append(el('text',{x:L-6,y:p.y+9,'text-anchor':'end'},fmt(hi)),el('text',{x:L-6,y:p.y+p.h,'text-anchor':'end'},fmt(log?.1:lo)))}
  p.value=el('text',{x:R,y:p.y-3,'text-anchor':'end',class:'val'});svg.append(p.value);
 }
 const line=el('line',{y1:top,y2:bottom,stroke:'var(--accent)',visibility:'hidden'}),stamp=el('text',{y:10,class:'val',visibility:'hidden'}),sel=el('rect',{y:top,height:bottom-top,fill:'var(--accent)',opacity:.18,visibility:'hidden'});
 svg.append(sel,line,stamp);box.append(svg);
 const usAt=(e)=>{const r=svg.getBoundingClientRect();return f+Math.min(1,Math.max(0,((e.clientX-r.left)*W/r.width-L)/(R-L)))*(t-f)};
 const point=(us)=>{cursor=us;const i=Math.min(n-1,Math.max(0,Math.floor((us-A.fromUs)/(A.toUs-A.fromUs)*n))),xx=X(us);line.setAttribute('x1',xx);line.setAttribute('x2',xx);line.setAttribute('visibility','visible');stamp.textContent=whole(us);stamp.setAttribute('x',xx);stamp.setAttribute('text-anchor',xx>W-180?'end':'start');stamp.setAttribute('visibility','visible');
  for(const p of panels){const a=p.lo[i],b=p.hi[i],v=(q)=>p.min+q*(p.max-p.min);p.value.textContent=a!==a?'no data':Math.abs(b-a)<1e-3?fmt(v(b)):fmt(v(a))+' to '+fmt(v(b))}};
 let start=null;
 svg.addEventListener('pointermove',e=>{const us=usAt(e);point(us);if(start!==null){sel.setAttribute('x',Math.min(X(start),X(us)));sel.setAttribute('width',Math.abs(X(us)-X(start)));sel.setAttribute('visibility','visible')}});
 svg.addEventListener('pointerdown',e=>{if(e.pointerType!=='touch')start=usAt(e)});
 svg.addEventListener('pointerup',e=>{const us=usAt(e);if(start!==null&&Math.abs(X(us)-X(start))>6)zoom(Math.min(start,us),Math.max(start,us));start=null});
 svg.addEventListener('dblclick',()=>zoom());
 box.onkeydown=(e)=>{const step=(t-f)/(e.shiftKey?10:100);if(e.key==='ArrowLeft'||e.key==='ArrowRight'){point(Math.min(t,Math.max(f,(cursor??f)+(e.key==='ArrowLeft'?-step:step))));e.preventDefault()}if(e.key==='0')zoom();if(e.key==='+'&&cursor!==null)zoom(cursor-(t-f)/4,cursor+(t-f)/4)};
 document.getElementById('reset').hidden=view===null;const more=document.getElementById('more');if(more){more.hidden=A.channels.length<=12;more.textContent=all?'First 12 channels':'All '+A.channels.length+' channels'}
}
function zoom(a,b){const A=D.assets[at];view=a===undefined?null:[Math.max(A.fromUs,a),Math.min(A.toUs,b)];if(view&&view[1]-view[0]<(A.toUs-A.fromUs)/A.points*4)view=null;cursor=null;draw()}
document.getElementById('reset').onclick=()=>zoom();const more=document.getElementById('more');if(more)more.onclick=()=>{all=!all;draw()};
const pick=document.getElementById('asset');if(pick)pick.onchange=()=>{at=Number(pick.value);zoom()};
document.getElementById('theme').onclick=()=>{const dark=root.dataset.theme?root.dataset.theme==='dark':matchMedia('(prefers-color-scheme: dark)').matches;root.dataset.theme=dark?'light':'dark'};
const show=(row)=>{const e=D.episodes[Number(row.dataset.e)],i=D.assets.findIndex(a=>a.place===e.asset);if(i<0)return;document.querySelectorAll('tr.on').forEach(r=>r.classList.remove('on'));row.classList.add('on');at=i;if(pick)pick.value=String(i);const A=D.assets[i],span=Math.max(e.toUs-e.fromUs,(A.toUs-A.fromUs)/A.points*20);zoom(e.fromUs-span,e.toUs+span);box.scrollIntoView({block:'nearest'})};
document.querySelectorAll('tr[data-e]').forEach(r=>{r.onclick=()=>show(r);r.onkeydown=(e)=>{if(e.key==='Enter')show(r)}});
addEventListener('resize',draw);draw();
`
